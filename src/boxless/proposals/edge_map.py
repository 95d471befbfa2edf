"""Edges of an image without a learned model, as EdgeBoxes wants them.

The structured forest that usually feeds EdgeBoxes needs a model file. Colour gradients at two
scales, thinned to ridges, do nearly as well for proposals and need none.
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from boxless.types import Float32Array, UInt8Array

BLURS = (1.0, 2.0)  # standard deviations in pixels: fine edges, and those that survive at distance
ORIENTATION_BLUR = 1.5
STRONG = 99.0  # percentile of the gradient that counts as a full edge
FAINTEST = 0.004  # gradients below this are noise, whatever their rank; Lab / 100 a pixel


def gradient(image: "UInt8Array") -> "Float32Array":
    """Strength of colour edges.

    Each Lab channel is blurred, differentiated, and the strongest channel taken at each pixel;
    strengths at the scales in ``BLURS`` are averaged, each times its blur, as blurring by s divides
    the slope of a step by s.

    Args:
        image: (H, W, 3) RGB.

    Returns:
        (H, W) values in [0, 1]; all 0 where the image is flat.
    """
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) / np.float32(100)
    total = np.zeros(image.shape[:2], np.float32)
    for blur in BLURS:
        smooth = cv2.GaussianBlur(lab, (0, 0), blur)
        across, down = (
            cv2.Sobel(smooth, cv2.CV_32F, *axis, ksize=3, scale=0.125) for axis in ((1, 0), (0, 1))
        )
        total += blur * np.sqrt(across**2 + down**2).max(axis=2)
    total /= len(BLURS)
    strong = float(np.percentile(total, STRONG))
    if strong < FAINTEST:
        return np.zeros_like(total)
    edges: Float32Array = np.minimum(total / np.float32(strong), np.float32(1))
    return edges


def orientation(edges: "Float32Array") -> "Float32Array":
    """Direction across the edge at each pixel.

    The ridge direction of the blurred edge map from its second derivatives, the formula of the
    structured-forest toolbox (Dollar & Zitnick, "Structured Forests for Fast Edge Detection",
    ICCV 2013): arctan(Eyy * sign(-Exy) / Exx) mod pi.

    Args:
        edges: (H, W) edge strengths.

    Returns:
        (H, W) angles in [0, pi).
    """
    smooth = cv2.GaussianBlur(edges, (0, 0), ORIENTATION_BLUR)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    dxx, dxy = cv2.Sobel(dx, cv2.CV_32F, 1, 0), cv2.Sobel(dx, cv2.CV_32F, 0, 1)
    dyy = cv2.Sobel(dy, cv2.CV_32F, 0, 1)
    angles: Float32Array = np.mod(
        np.arctan(dyy * np.sign(-dxy) / (dxx + 1e-5)), np.float32(np.pi)
    ).astype(np.float32)
    return angles


def thin(edges: "Float32Array", angles: "Float32Array") -> "Float32Array":
    """Keep an edge only where it is strongest along the direction across it.

    Args:
        edges: (H, W) edge strengths.
        angles: (H, W) directions across the edges.

    Returns:
        (H, W) edges, 0 off the ridges.
    """
    height, width = edges.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    step_x, step_y = np.cos(angles), np.sin(angles)
    ridge = edges.copy()
    for side in (-1, 1):
        neighbour = cv2.remap(
            edges,
            columns + side * step_x,
            rows + side * step_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        ridge[edges < neighbour] = 0
    return ridge
