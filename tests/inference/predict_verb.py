"""``boxless predict`` as a function of its options, as the command line spells them."""

from boxless.cli import predict as verb


def predict(model, images, **options):
    """Call the verb; every option goes to the group that it belongs to."""

    def take(group):
        names = [name for name in group.__dataclass_fields__ if name in options]
        return group(**{name: options.pop(name) for name in names})

    results, pictures = take(verb.ResultOptions), take(verb.PictureOptions)
    return verb.predict(model, images, results=results, pictures=pictures, **options)
