def models():
    return ["small_cnn"]


def datasets():
    return ["fashion_mini", "digits"]


def schedules():
    return ["constant", "cosine"]


def orders():
    return ["convention", "swap", "preact"]


def activations():
    return ["tanh", "softsign", "relu"]


def canonical_order(o):
    return o
