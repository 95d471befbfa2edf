"""``boxless recipes``: list, show, copy and check recipes."""

from pathlib import Path

from cyclopts import App

from boxless.errors import ConfigError
from boxless.files.console import plain_console, plain_table

app = App(
    name="recipes",
    help="Recipes: all settings of a run, as commented TOML files.",
    help_format="markdown",
)


@app.command(name="list")
def list_recipes() -> None:
    """List the recipes that come with boxless."""
    from boxless.recipe.recipe_files import builtin_recipes, load_recipe

    table = plain_table("recipe", "what it is for")
    for name in builtin_recipes():
        found = load_recipe(name)
        networks = f"teacher {found.teacher.title}, student {found.student.title}"
        table.add_row(name, f"{found.description}\n{networks}", end_section=True)
    plain_console().print(table)


@app.command
def show(name: str, *, full: bool = False) -> None:
    """Print a recipe.

    Args:
        name: A built-in recipe or a TOML file.
        full: Every setting with its value and meaning, also those left at their default.
    """
    from boxless.recipe.recipe_files import dotted, known_keys, load_recipe, recipe_text

    if not full:
        is_file = name.endswith(".toml")
        load_recipe(name)
        print(Path(name).read_text("utf-8") if is_file else recipe_text(name))
        return
    meanings = known_keys()
    table = plain_table("setting", "value", "meaning")
    for key, value in dotted(load_recipe(name)).items():
        table.add_row(key, str(value), meanings.get(key, ""))
    plain_console().print(table)


@app.command
def copy(name: str, to: Path) -> None:
    """Copy a built-in recipe to a file of your own.

    Args:
        name: A built-in recipe.
        to: The TOML file to write; it must not exist.
    """
    from boxless.files.atomic import write_atomically
    from boxless.recipe.recipe_files import recipe_text

    text = recipe_text(name)
    if to.suffix != ".toml":
        raise ConfigError(
            f"{to} does not end in .toml", hint=f"boxless recipes copy {name} {to}.toml"
        )
    if to.exists():
        raise ConfigError(f"{to} exists already", hint="choose another name, or delete it first")
    write_atomically(to, text.encode())
    print(f"wrote {to}; use it with --recipe {to}")


@app.command
def validate(name: str) -> None:
    """Check a recipe; prints every fault and exits with 2 if there is one.

    Args:
        name: A built-in recipe or a TOML file.
    """
    from boxless.recipe.recipe_files import dotted, load_recipe

    found = load_recipe(name)
    print(f"{name} is valid: {len(dotted(found))} settings")
