"""Exchanging weights and arrays: safetensors files, DLPack, PyTorch's state."""

from .arrays import from_dlpack, to_dlpack
from .files import load_file, load_model, save_file, save_model
from .torch_state import load_torch_state_dict, to_torch_state_dict

__all__ = [
    "from_dlpack",
    "load_file",
    "load_model",
    "load_torch_state_dict",
    "save_file",
    "save_model",
    "to_dlpack",
    "to_torch_state_dict",
]
