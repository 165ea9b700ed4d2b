"""What Kim, Kim & Kim report: "Tanh Works Better with Asymmetry" (NeurIPS 2023), first "Batch Normalization and
Bounded Activation Functions" (2022). Three seeds each, no spread reported, hyperparameters searched per order.
"""

from __future__ import annotations

CONVENTION, SWAP, NWDBN = ORDERS = ("convention", "swap", "nwdbn")

#: Test accuracy (%), Convention and Swap, by architecture and activation; the data set with the most figures.
CIFAR_100 = {
    ("vgg", "tanh"): (64.84, 72.17),
    ("vgg", "lecun_tanh"): (63.52, 71.72),
    ("vgg", "softsign"): (66.15, 71.98),
    ("vgg", "relu"): (73.68, 71.79),
    ("mobilenet", "tanh"): (64.47, 70.63),
    ("mobilenet", "relu"): (70.06, 69.49),
}
#: VGG16 with tanh on CIFAR-100, Convention without weight decay on BatchNorm's affine parameters.
NWDBN_ACCURACY = 67.87
#: By how much the mean absolute skewness is higher in Swap, VGG16 on CIFAR-100.
SKEWNESS_GAINS = {"tanh": 1.75, "lecun_tanh": 1.62, "softsign": 0.82}
#: Of VGG16 with tanh: the most saturated layer, and the mean sparsity of the blocks.
HIGHEST_SATURATION = {CONVENTION: 0.43, SWAP: 0.89}
SPARSITY = {CONVENTION: 0.7169, NWDBN: 0.2824, SWAP: 0.8251}
#: The weight decays of the two ablations.
BETA_DECAYS = (0.0, 1e-4, 5e-4, 1e-3)
AFFINE_DECAYS = (0.0, 1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4)
#: Epochs, steps per epoch and learning rate of VGG16 with tanh in Convention order; it drops to a tenth twice.
EPOCHS, STEPS_PER_EPOCH, LEARNING_RATE = 200, 391, 0.01
