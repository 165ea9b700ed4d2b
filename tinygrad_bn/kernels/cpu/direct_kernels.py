"""Convolution and its derivatives as matrix products on the images as they are.

Memory is channels-last, so the values under one row of the kernel, KW * C of them, lie side by side, and the pixels of
an image row lie at equal distances: the patches of one output row under one kernel row are a matrix that needs no
copying. Its product with that kernel row's weights is added up over the kernel's rows.

Where image rows are short, and where there are few channels, the patches of many pixels are copied together first
(im2col), a piece at a time that stays in cache.

Weights are packed into panels of as many output channels as one tile of the matrix product takes, so that the product
reads them in one piece: (panels, KH, KW, C, width), filled up with zeros.
"""

from __future__ import annotations

from typing import Any

from .compiler import compiled, compiled_part
from .gemm import call_gemm

AS_IT_IS, EXCHANGED, TURNED = 0, 1, 2

_LINE = 16  # float32 values in a cache line


@compiled
def pack_weight(part: int, first: int, last: int, weight: Any, panels: Any, how: int) -> None:
    """Pack weight (O, C, KH, KW) into panels (P, KH, KW, C, width).

    EXCHANGED packs it with input and output channels exchanged, (P, KH, KW, O, width), and TURNED also with the kernel
    turned by 180 degrees.
    """
    _, height, width, depth, columns = panels.shape
    for panel in range(first, last):
        some = min(columns, weight.shape[1 if how else 0] - panel * columns)
        if some < columns:
            panels[panel] = 0.0
        # A few rows at a time, so that what a cache line holds is used while it is there.
        for start in range(0, depth, _LINE):
            end = min(start + _LINE, depth)
            if how == AS_IT_IS:
                for column in range(some):
                    for k in range(start, end):
                        for i in range(height):
                            for j in range(width):
                                panels[panel, i, j, k, column] = weight[panel * columns + column, k, i, j]
            else:
                for k in range(start, end):
                    for column in range(some):
                        for i in range(height):
                            for j in range(width):
                                y, z = (height - 1 - i, width - 1 - j) if how == TURNED else (i, j)
                                panels[panel, y, z, k, column] = weight[k, panel * columns + column, i, j]


@compiled_part
def times_panels(
    gemm: int,
    rows: int,
    columns: int,
    depth: int,
    a: int,
    a_row: int,
    a_column: int,
    panels: int,
    panel_distance: int,
    width: int,
    size: int,
    c: int,
    c_row: int,
    add: int,
) -> None:
    """C (rows, columns) (+)= A (rows, depth) @ the panels' columns; `panels` is the address of the first one's rows."""
    for column in range(0, columns, width):
        some = min(width, columns - column)
        b = panels + column // width * panel_distance
        call_gemm(gemm, rows, some, depth, a, a_row, a_column, b, width * size, c + column * size, c_row, add)


@compiled_part
def start_with(bias: Any, out: Any, first: int, rows: int, column: int, columns: int) -> int:
    """Set some columns of the rows of out (pixels, O) to the bias; return 1 if there is one, for products to add to."""
    if bias.size == 0:
        return 0
    for row in range(first, first + rows):
        for k in range(column, column + columns):
            out[row, k] = bias[k]
    return 1


@compiled_part
def fill_interior(canvas: Any, image: Any, top: int, left: int) -> None:
    """Copy an image (H, W, C) into a larger canvas; what lies outside the canvas (negative padding) is left out."""
    for i in range(max(0, -top), min(image.shape[0], canvas.shape[0] - top)):
        for j in range(max(0, -left), min(image.shape[1], canvas.shape[1] - left)):
            for k in range(image.shape[2]):
                canvas[i + top, j + left, k] = image[i, j, k]


@compiled
def correlate_rows(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    x: Any,
    panels: Any,
    bias: Any,
    out: Any,
    canvases: Any,
    top: int,
    left: int,
    steps: Any,
) -> None:
    """Correlate images first..last of x (N, H, W, C) with packed weights into out (N, OH, OW, O), row by row.

    Args:
        bias: (O,), or of size 0.
        canvases: zeros (seats, H', W', C), the padded image of each seat; of size 0 where there is no padding.
        top, left: padding.
        steps: stride and dilation, each down and across.
    """
    down, right, apart, beside = steps
    pixels = out.reshape(-1, out.shape[3])
    size = x.itemsize
    count, height, width, channels = panels.shape[0], panels.shape[1], panels.shape[2], panels.shape[3]
    columns = panels.shape[4]
    out_height, out_width, out_channels = out.shape[1], out.shape[2], out.shape[3]
    # With dilation the values under a kernel row do not lie side by side: one product per element of the row then.
    runs = 1 if beside == 1 else width
    depth = width * channels // runs
    panel_distance = panels.strides[0]
    for image in range(first, last):
        if canvases.size > 0:
            fill_interior(canvases[seat], x[image], top, left)
            source, row_distance = canvases[seat].ctypes.data, canvases.strides[1]
        else:
            source, row_distance = x[image].ctypes.data, x.strides[1]
        for panel in range(count):
            some = min(columns, out_channels - panel * columns)
            for y in range(out_height):
                c = out[image, y].ctypes.data + panel * columns * size
                first_row = (image * out_height + y) * out_width
                add = start_with(bias, pixels, first_row, out_width, panel * columns, some)
                for i in range(height):
                    a = source + (y * down + i * apart) * row_distance
                    b = panels.ctypes.data + panel * panel_distance + i * panels.strides[1]
                    for run in range(runs):
                        call_gemm(
                            gemm,
                            out_width,
                            some,
                            depth,
                            a + run * beside * channels * size,
                            right * channels * size,
                            size,
                            b + run * depth * columns * size,
                            columns * size,
                            c,
                            out_channels * size,
                            add,
                        )
                        add = 1


@compiled_part
def copy_patches(
    slab: Any, x: Any, first: int, pixels: int, i: int, j: int, across: int, size: Any, top: int, left: int, steps: Any
) -> None:
    """Copy what lies under elements (i, j) to (i, j + across - 1) of the kernel, for some pixels of the output.

    Args:
        slab: (pixels, across * C), written.
        first, pixels: which pixels, counted through all images of the output.
        size: height and width of the output.
        steps: stride and dilation, each down and across.
    """
    down, right, apart, beside = steps
    channels = x.shape[3]
    per_image = size[0] * size[1]
    for pixel in range(pixels):
        image, rest = divmod(first + pixel, per_image)
        y, z = divmod(rest, size[1])
        row = y * down + i * apart - top
        for step in range(across):
            column = z * right + (j + step) * beside - left
            start = step * channels
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                for k in range(channels):
                    slab[pixel, start + k] = x[image, row, column, k]
            else:
                for k in range(channels):
                    slab[pixel, start + k] = 0.0


@compiled
def correlate_slabs(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    x: Any,
    panels: Any,
    bias: Any,
    out: Any,
    slabs: Any,
    across: int,
    top: int,
    left: int,
    steps: Any,
) -> None:
    """Correlate x (N, H, W, C) with packed weights into out (N, OH, OW, O), for blocks of pixels first..last.

    Args:
        bias: (O,), or of size 0.
        slabs: (seats, pixels, across * C): the copied patches of each seat; `pixels` is the size of a block.
        across: how many elements of the kernel are copied together: one kernel row, or one element, or all of them.
        top, left, steps: as in `copy_patches`.
    """
    size = x.itemsize
    height, width, channels = panels.shape[1], panels.shape[2], panels.shape[3]
    out_channels = out.shape[3]
    total = out.shape[0] * out.shape[1] * out.shape[2]
    block = slabs.shape[1]
    in_place = height == 1 and width == 1 and steps[0] == 1 and steps[1] == 1 and top == 0 and left == 0
    in_place = in_place and out.shape[1] == x.shape[1] and out.shape[2] == x.shape[2]  # no padding behind either
    slab = slabs[seat]
    for number in range(first, last):
        start = number * block
        pixels = min(block, total - start)
        c = out.ctypes.data + start * out_channels * size
        add = start_with(bias, out.reshape(total, out_channels), start, pixels, 0, out_channels)
        for i in range(height):
            for j in range(0, width, across):
                if in_place:
                    a, a_row = x.ctypes.data + start * channels * size, channels * size
                else:
                    copy_patches(slab, x, start, pixels, i, j, across, (out.shape[1], out.shape[2]), top, left, steps)
                    a, a_row = slab.ctypes.data, slab.strides[0]
                b = panels.ctypes.data + i * panels.strides[1] + j * panels.strides[2]
                times_panels(
                    gemm,
                    pixels,
                    out_channels,
                    across * channels,
                    a,
                    a_row,
                    size,
                    b,
                    panels.strides[0],
                    panels.shape[4],
                    size,
                    c,
                    out_channels * size,
                    add,
                )
                add = 1


@compiled_part
def copy_patches_by_value(slab: Any, x: Any, image: int, first: int, rows: int, out_width: int, places: Any) -> None:
    """Copy the patches of some output rows of one image, one row of the slab for each value of a patch.

    Args:
        slab: (KH * KW * C, pixels), written: where there are few channels, this way round is the quicker one.
        first, rows: which rows of the output.
        places: kernel height and width, top and left padding, stride and dilation, each down and across.
    """
    height, width, top, left, down, right, apart, beside = places
    channels = x.shape[3]
    for i in range(height):
        for j in range(width):
            # Columns z of the output with 0 <= z * right + shift < x.shape[2].
            shift = j * beside - left
            begin = min(out_width, max(0, (-shift + right - 1) // right))
            end = max(begin, min(out_width, (x.shape[2] - shift + right - 1) // right))
            for k in range(channels):
                value = (i * width + j) * channels + k
                for y in range(rows):
                    row = (first + y) * down + i * apart - top
                    place = y * out_width
                    inside = 0 <= row < x.shape[1]
                    for z in range(out_width):
                        if inside and begin <= z < end:
                            slab[value, place + z] = x[image, row, z * right + shift, k]
                        else:
                            slab[value, place + z] = 0.0


@compiled
def correlate_few_channels(
    seat: int, first: int, last: int, gemm: int, x: Any, panels: Any, bias: Any, out: Any, slabs: Any, places: Any
) -> None:
    """Correlate images first..last of x (N, H, W, C), C small, with packed weights into out (N, OH, OW, O).

    Args:
        bias: (O,), or of size 0.
        slabs: (seats, KH * KW * C, pixels): patches of as many whole output rows as fit.
        places: as in `copy_patches_by_value`.
    """
    size = x.itemsize
    _, out_height, out_width, out_channels = out.shape
    slab = slabs[seat]
    most = slab.shape[1] // out_width
    for image in range(first, last):
        for y in range(0, out_height, most):
            rows = min(most, out_height - y)
            copy_patches_by_value(slab, x, image, y, rows, out_width, places)
            first_row = (image * out_height + y) * out_width
            add = start_with(bias, out.reshape(-1, out_channels), first_row, rows * out_width, 0, out_channels)
            times_panels(
                gemm,
                rows * out_width,
                out_channels,
                slab.shape[0],
                slab.ctypes.data,
                size,
                slab.strides[0],
                panels.ctypes.data,
                panels.strides[0],
                panels.shape[4],
                size,
                out[image, y].ctypes.data,
                out_channels * size,
                add,
            )


@compiled
def spread_rows(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    grad: Any,
    panels: Any,
    out: Any,
    canvases: Any,
    top: int,
    left: int,
    steps: Any,
) -> None:
    """Add up, for images first..last, what each pixel of grad (N, OH, OW, O) gives to out (N, H, W, C).

    The gradient of a strided convolution's input: no product is spent on zeros between the pixels.

    Args:
        panels: the weight packed EXCHANGED, (P, KH, KW, O, width).
        canvases: (seats, H', W', C): out with its padding, for one image of each seat.
        steps: stride and dilation, each down and across.
    """
    down, right, apart, beside = steps
    size = grad.itemsize
    count, height, width, depth, columns = panels.shape
    canvas = canvases[seat]
    channels = canvas.shape[2]
    for image in range(first, last):
        canvas[:] = 0.0
        for panel in range(count):
            some = min(columns, channels - panel * columns)
            for y in range(grad.shape[1]):
                for i in range(height):
                    for j in range(width):
                        call_gemm(
                            gemm,
                            grad.shape[2],
                            some,
                            depth,
                            grad[image, y].ctypes.data,
                            depth * size,
                            size,
                            panels[panel, i, j].ctypes.data,
                            columns * size,
                            canvas[y * down + i * apart, j * beside].ctypes.data + panel * columns * size,
                            right * channels * size,
                            1,
                        )
        fill_interior(out[image], canvas, -top, -left)


@compiled
def weight_grad_rows(
    part: int,
    first: int,
    last: int,
    gemm: int,
    x: Any,
    grad: Any,
    partial: Any,
    canvases: Any,
    top: int,
    left: int,
    steps: Any,
) -> None:
    """Add up each part's share of the weight's gradient, image by image and row by row.

    Args:
        x, grad: (N, H, W, C) and (N, OH, OW, O).
        partial: (parts, KH, KW, C, O), written.
        canvases: as in `correlate_rows`.
        steps: stride and dilation, each down and across.
    """
    down, right, apart, beside = steps
    size = x.itemsize
    _, height, width, channels, out_channels = partial.shape
    result = partial[part]
    result[:] = 0.0
    runs = 1 if beside == 1 else width
    rows = width * channels // runs
    for image in range(first, last):
        if canvases.size > 0:
            fill_interior(canvases[part], x[image], top, left)
            source, row_distance = canvases[part].ctypes.data, canvases.strides[1]
        else:
            source, row_distance = x[image].ctypes.data, x.strides[1]
        for i in range(height):
            for y in range(grad.shape[1]):
                for run in range(runs):
                    call_gemm(
                        gemm,
                        rows,
                        out_channels,
                        grad.shape[2],
                        source + (y * down + i * apart) * row_distance + run * beside * channels * size,
                        size,
                        right * channels * size,
                        grad[image, y].ctypes.data,
                        out_channels * size,
                        result[i].ctypes.data + run * rows * out_channels * size,
                        out_channels * size,
                        1,
                    )


@compiled
def weight_grad_slabs(
    seat: int,
    first: int,
    last: int,
    gemm: int,
    x: Any,
    grad: Any,
    result: Any,
    slabs: Any,
    top: int,
    left: int,
    steps: Any,
    columns: int,
) -> None:
    """Compute some pieces of the weight's gradient completely: no partial sums, which large weights make dear.

    Args:
        x, grad: (N, H, W, C) and (N, OH, OW, O).
        result: (KH, KW, C, O). A piece is one element of the kernel and `columns` of the output channels.
        slabs: (seats, pixels, C): the copied patches of each seat.
    """
    size = x.itemsize
    _, width, channels, out_channels = result.shape
    total = grad.shape[0] * grad.shape[1] * grad.shape[2]
    slab = slabs[seat]
    block = slab.shape[0]
    pieces = (out_channels + columns - 1) // columns
    for number in range(first, last):
        element, piece = divmod(number, pieces)
        i, j = divmod(element, width)
        column = piece * columns
        for start in range(0, total, block):
            pixels = min(block, total - start)
            copy_patches(slab, x, start, pixels, i, j, 1, (grad.shape[1], grad.shape[2]), top, left, steps)
            call_gemm(
                gemm,
                channels,
                min(columns, out_channels - column),
                pixels,
                slab.ctypes.data,
                size,
                slab.strides[0],
                grad.ctypes.data + (start * out_channels + column) * size,
                out_channels * size,
                result[i, j].ctypes.data + column * size,
                out_channels * size,
                int(start > 0),
            )


@compiled
def weight_grad_few_channels(
    part: int, first: int, last: int, gemm: int, x: Any, grad: Any, partial: Any, slabs: Any, places: Any
) -> None:
    """Add up each part's share of the weight's gradient where there are few channels.

    Args:
        partial: (parts, KH, KW, C, O), written.
        slabs, places: as in `correlate_few_channels`.
    """
    size = x.itemsize
    _, out_height, out_width, out_channels = grad.shape
    result, slab = partial[part], slabs[part]
    result[:] = 0.0
    most = slab.shape[1] // out_width
    for image in range(first, last):
        for y in range(0, out_height, most):
            rows = min(most, out_height - y)
            copy_patches_by_value(slab, x, image, y, rows, out_width, places)
            call_gemm(
                gemm,
                slab.shape[0],
                out_channels,
                rows * out_width,
                slab.ctypes.data,
                slab.strides[0],
                size,
                grad[image, y].ctypes.data,
                out_channels * size,
                result.ctypes.data,
                out_channels * size,
                1,
            )


@compiled
def unpack_weight_grad(part: int, first: int, last: int, partial: Any, result: Any) -> None:
    """Add up partial gradients (parts, KH, KW, C, O), in their order, into channels first..last of (O, C, KH, KW)."""
    parts, height, width, channels, _ = partial.shape
    for start in range(first, last, _LINE):
        for begin in range(0, channels, _LINE):
            for channel in range(start, min(start + _LINE, last)):
                for k in range(begin, min(begin + _LINE, channels)):
                    for i in range(height):
                        for j in range(width):
                            total = 0.0
                            for number in range(parts):
                                total += partial[number, i, j, k, channel]
                            result[channel, k, i, j] = total
