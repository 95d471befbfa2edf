"""``boxless weights``: bring ImageNet weights of other frameworks along."""

from pathlib import Path

from cyclopts import App

from boxless.errors import ConfigError

app = App(
    name="weights", help="Convert ImageNet weights of other frameworks.", help_format="markdown"
)


@app.command
def convert(source: Path, to: Path, *, backbone: str = "vgg16", pixels: str = "") -> None:
    """Write weights as one safetensors file that knows which pixels it was trained on.

    Recipes read the source itself too; the converted file is checked, smaller to open and keeps
    its pixel scheme.

    Args:
        source: A .caffemodel (VGG), or a .pth or .safetensors with torchvision's or timm's names.
        to: The .safetensors file to write; it must not exist.
        backbone: The timm model that the weights belong to.
        pixels: caffe (BGR minus the mean) or imagenet (RGB, mean and deviation), where the source
            does not say; a .caffemodel does.
    """
    if to.exists():
        raise ConfigError(f"{to} exists already", hint="choose another name, or delete it first")
    if to.suffix != ".safetensors":
        raise ConfigError(
            f"{to} must end in .safetensors", hint=f"{to.with_suffix('.safetensors')}"
        )
    from boxless.models.weights import convert as convert_file

    found = convert_file(source, to, backbone=backbone, pixels=pixels)
    fc = "with" if found["fc"] else "without"
    said = found["pixels"] or "not said (the model's own)"
    print(
        f"{to}: {backbone}, {found['tensors']} tensors, {found['parameters']:,} parameters,"
        f" {fc} fc6 and fc7, pixels: {said}"
    )
