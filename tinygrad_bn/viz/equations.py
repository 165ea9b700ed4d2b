"""What each operation computes, and its derivative, as one line of text each, with "; " between several formulas.

x is the input (x₁, x₂ where there are several), y the output, g the gradient of the output, dx that of the input;
products are element by element unless a matrix product or a sum over indices is written.
"""

from __future__ import annotations


def equation_of(label: str) -> dict[str, str] | None:
    """Return an operation's equation and that of its derivative, under "forward" and "backward"; None if unknown."""
    if label not in EQUATIONS:
        return None
    forward, backward = EQUATIONS[label]
    return {"forward": forward, "backward": backward}


_INSIDE = "{} where the output is strictly inside its limits, else 0"

EQUATIONS: dict[str, tuple[str, str]] = {
    # weights
    "conv2d": (
        "y[n,o,i,j] = Σ over c,u,v of w[o,c,u,v] · x[n,c,s·i+u−p,s·j+v−p] + b[o]",
        "dx = transposed convolution of g with w; dw = correlation of x with g; db[o] = Σ over n,i,j of g",
    ),
    "conv2d_input_grad": ("y = transposed convolution of x₁ with x₂", "dx₁ = convolution of g with x₂"),
    "conv2d_weight_grad": ("y = correlation of x₁ with x₂", "dx₁ = transposed convolution of x₂ with g"),
    "linear": ("y = x wᵀ + b", "dx = g w; dw = gᵀ x; db = Σ over n of g"),
    "matmul": ("y = x₁ x₂", "dx₁ = g x₂ᵀ; dx₂ = x₁ᵀ g"),
    # normalisation
    "batch_norm": (
        "x̂ = (x − μ) / s, s = √(σ² + ε); y = γ · x̂ + β",
        "with batch statistics: dx = γ/s · (g − mean g − x̂ · mean(g·x̂)); with running ones: dx = γ/s · g; "
        "dγ = Σ g·x̂; dβ = Σ g",
    ),
    "norm_act": (
        "y = f(γ · x̂ + β), or γ · x̂ + β with x̂ from f(x)",
        "the derivatives of BatchNorm and activation, one after the other",
    ),
    # activations
    "tanh": ("y = tanh x", "dx = g · (1 − y²)"),
    "lecun_tanh": ("y = 1.7159 · tanh(2x/3)", "dx = g · 1.7159 · 2/3 · (1 − tanh²(2x/3))"),
    "penalized_tanh": ("y = tanh x where x > 0, else a · tanh x", "dx = g · (1 − tanh² x), times a where x ≤ 0"),
    "shifted_tanh": ("y = tanh(x + shift)", "dx = g · (1 − y²)"),
    "softsign": ("y = x / (1 + |x|)", "dx = g / (1 + |x|)²"),
    "sigmoid": ("y = 1 / (1 + e⁻ˣ)", "dx = g · y · (1 − y)"),
    "hardtanh": ("y = min(max(x, −1), 1)", "dx = " + _INSIDE.format("g")),
    "hardsigmoid": ("y = min(max(x/6 + ½, 0), 1)", "dx = " + _INSIDE.format("g/6")),
    "relu6": ("y = min(max(x, 0), 6)", "dx = " + _INSIDE.format("g")),
    "arctan": ("y = arctan x", "dx = g / (1 + x²)"),
    "erf": ("y = erf x", "dx = g · 2/√π · e^(−x²)"),
    "relu": ("y = max(x, 0)", "dx = g where x > 0, else 0"),
    "leaky_relu": ("y = x where x > 0, else a · x", "dx = g where x > 0, else a · g"),
    "prelu": ("y = x where x > 0, else w · x", "dx = g where x > 0, else w · g; dw = Σ g · x where x ≤ 0"),
    "rrelu": ("y = x where x > 0, else a · x with a random a", "dx = g where x > 0, else a · g"),
    "elu": ("y = x where x > 0, else α(eˣ − 1)", "dx = g where x > 0, else g · (y + α)"),
    "selu": ("y = λ · (x where x > 0, else α(eˣ − 1))", "dx = λ · g where x > 0, else g · (y + λα)"),
    "celu": ("y = x where x > 0, else α(e^(x/α) − 1)", "dx = g where x > 0, else g · e^(x/α)"),
    "gelu": ("y = x · Φ(x), Φ the normal distribution", "dx = g · (Φ(x) + x · φ(x)), φ = Φ′"),
    "silu": ("y = x · s, s = 1 / (1 + e⁻ˣ)", "dx = g · s · (1 + x · (1 − s))"),
    "mish": ("y = x · t, t = tanh(ln(1 + eˣ))", "dx = g · (t + x · (1 − t²) / (1 + e⁻ˣ))"),
    "softplus": ("y = ln(1 + e^(βx)) / β", "dx = g / (1 + e^(−βx))"),
    "hardswish": ("y = x · min(max(x + 3, 0), 6) / 6", "dx = 0 below −3, g above 3, else g · (2x + 3) / 6"),
    "identity": ("y = x", "dx = g"),
    "softmax": ("yᵢ = e^(xᵢ) / Σⱼ e^(xⱼ)", "dxᵢ = yᵢ · (gᵢ − Σⱼ gⱼ · yⱼ)"),
    "log_softmax": ("yᵢ = xᵢ − ln Σⱼ e^(xⱼ)", "dxᵢ = gᵢ − e^(yᵢ) · Σⱼ gⱼ"),
    # pooling
    "max_pool2d": ("y = largest x of each window", "dx = g at the place of the largest, 0 elsewhere"),
    "max_pool2d_scatter": ("y = x at the places of the largest, 0 elsewhere", "dx = g at those places"),
    "max_pool2d_gather": ("y = x at the places of the largest", "dx = g at those places, 0 elsewhere"),
    "avg_pool2d": ("y = mean x of each window", "dx = g / window size, summed over the windows"),
    "avg_pool2d_grad": ("y = x / window size, summed over the windows", "dx = mean g of each window"),
    "adaptive_avg_pool2d": ("y = mean x of each cell of a grid", "dx = g / cell size"),
    # losses
    "cross_entropy": (
        "y = −Σ over classes of target · log_softmax(x)",
        "dx = g · (softmax(x) − target), as the target sums to 1",
    ),
    # arithmetic
    "add": ("y = x₁ + x₂", "dx₁ = g; dx₂ = g"),
    "sub": ("y = x₁ − x₂", "dx₁ = g; dx₂ = −g"),
    "mul": ("y = x₁ · x₂", "dx₁ = g · x₂; dx₂ = g · x₁"),
    "div": ("y = x₁ / x₂", "dx₁ = g / x₂; dx₂ = −g · y / x₂"),
    "pow": ("y = x₁ ^ x₂", "dx₁ = g · x₂ · x₁^(x₂ − 1); dx₂ = g · y · ln x₁"),
    "remainder": ("y = x₁ − x₂ · ⌊x₁/x₂⌋", "dx₁ = g; dx₂ = −g · ⌊x₁/x₂⌋"),
    "maximum": ("y = larger of x₁, x₂", "g goes to the larger, half to each where they are equal"),
    "minimum": ("y = smaller of x₁, x₂", "g goes to the smaller, half to each where they are equal"),
    "neg": ("y = −x", "dx = −g"),
    "exp": ("y = eˣ", "dx = g · y"),
    "expm1": ("y = eˣ − 1", "dx = g · (y + 1)"),
    "log": ("y = ln x", "dx = g / x"),
    "log1p": ("y = ln(1 + x)", "dx = g / (1 + x)"),
    "sqrt": ("y = √x", "dx = g / (2y)"),
    "rsqrt": ("y = 1 / √x", "dx = −g · y³ / 2"),
    "abs": ("y = |x|", "dx = g · sign x"),
    "sin": ("y = sin x", "dx = g · cos x"),
    "cos": ("y = cos x", "dx = −g · sin x"),
    "tan": ("y = tan x", "dx = g · (1 + y²)"),
    "arcsin": ("y = arcsin x", "dx = g / √(1 − x²)"),
    "arccos": ("y = arccos x", "dx = −g / √(1 − x²)"),
    "sinh": ("y = sinh x", "dx = g · cosh x"),
    "cosh": ("y = cosh x", "dx = g · sinh x"),
    "arcsinh": ("y = arsinh x", "dx = g / √(x² + 1)"),
    "arccosh": ("y = arcosh x", "dx = g / √(x² − 1)"),
    "arctanh": ("y = artanh x", "dx = g / (1 − x²)"),
    "arctan2": ("y = angle of (x₂, x₁)", "dx₁ = g · x₂ / (x₁² + x₂²); dx₂ = −g · x₁ / (x₁² + x₂²)"),
    "floor_divide": ("y = ⌊x₁ / x₂⌋", "no gradient: constant between steps"),
    "clip": ("y = x limited to [low, high]", "dx = g inside and at the limits, else 0"),
    "where": ("y = x₁ where the condition holds, else x₂", "dx₁ = g where it holds; dx₂ = g elsewhere"),
    "dropout": ("y = mask · x, mask 0 or 1/(1 − p)", "dx = mask · g"),
    # reductions
    "sum": ("y = Σ x", "dx = g, repeated"),
    "mean": ("y = Σ x / n", "dx = g / n, repeated"),
    "logsumexp": ("y = ln Σ eˣ", "dx = g · e^(x − y)"),
    "put_along_axis": ("y = x added up at given indices", "dx = g at those indices"),
    "take_along_axis": ("y = x at given indices", "dx = g added up at those indices"),
    # shape
    "reshape": ("y = x in another shape", "dx = g in the shape of x"),
    "transpose": ("y = x with its axes in another order", "dx = g with its axes put back"),
    "broadcast_to": ("y = x repeated", "dx = g summed over what was repeated"),
    "pad": ("y = x with values around it", "dx = the inner part of g"),
    "concatenate": ("y = x₁ and x₂ one after the other", "each gets its part of g"),
    "getitem": ("y = a part of x", "dx = g at that part, 0 elsewhere"),
    "scatter_add": ("y = x added up at given places", "dx = g at those places"),
    "to_device": ("y = x on another device", "dx = g on the device of x"),
    "astype": ("y = x in another dtype", "dx = g in the dtype of x"),
    "copy": ("y = x", "dx = g"),
    "alias": ("y = x", "dx = g"),
}
