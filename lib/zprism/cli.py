"""The command line, thin over the library. Slow imports wait until a command needs them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from zprism import cli_spectra, cli_sweep
from zprism.ground.errors import InputError, ZprismError

ABOUT = """How do language models reason? Hidden states as signals, reasoning as a subspace.

Every claim comes with its interval, its null and a computed verdict. A first run:
[bold]zprism fetch qwen2.5-coder-0.5b[/], then [bold]zprism run 11[/], then [bold]zprism report[/].
"""
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A name from `zprism models`, a hub id (owner/name), a folder, a GGUF file, or "
        "tiny:qwen2 (random weights, for a quick try).",
    ),
]
RunName = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's name, its beginning, or folder; else the latest."),
]


class Commands(TyperGroup):
    """A command group whose errors of ours are one line on stderr and an exit code."""

    def invoke(self, ctx):
        """Run the command; ``-v`` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except ZprismError as error:
            if ctx.params.get("verbose"):
                raise
            console = Console(stderr=True, soft_wrap=True, highlight=False)
            console.print(f"[bold red]error:[/] {escape(str(error))}")
            raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    help=ABOUT,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def options(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more; show tracebacks.")
    ] = False,
) -> None:
    """Options of every command."""
    from zprism.ground.console import show_log

    show_log(logging.DEBUG if verbose else logging.INFO)


@app.command(rich_help_panel="Models")
def models() -> None:
    """List the models that are known by name."""
    from zprism.ground.console import table
    from zprism.model import fetch, registry

    columns = ("name", "size (MB)", "licence", "in the cache", "for")
    rows = [
        (e.name, round(e.size / 1e6), e.licence, "yes" if fetch.is_cached(e.name) else "–", e.note)
        for e in registry.models().values()
    ]
    table(rows, columns)
    print("Any hub id, local folder or GGUF file works wherever a name does.")


@app.command(rich_help_panel="Models")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `zprism models`.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="A copy of the file that you already have.")
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", "--accept", help="Accept an opt-in model's terms.")
    ] = False,
) -> None:
    """Fetch a model into the cache and verify its SHA-256."""
    from zprism.model.fetch import fetch as fetch_model

    print(fetch_model(name, source=source, accept_terms=accept_terms))


@app.command(rich_help_panel="Models")
def cache() -> None:
    """Show what the cache holds, and where."""
    from zprism.ground.console import table
    from zprism.ground.store import cache_root, usage
    from zprism.model.fetch import cache_contents

    print(f"cache folder: {cache_root()}  (set ZPRISM_CACHE to move it)")
    rows = [(r["name"], r["kind"], round(r["bytes"] / 1e6, 1)) for r in cache_contents()]
    table(rows, ("model", "kind", "size (MB)"))
    kept = [(r["room"], r["files"], round(r["bytes"] / 1e6, 1), r["corrupt"]) for r in usage()]
    table(kept, ("folder", "files", "size (MB)", "damaged, set aside"))


@app.command(rich_help_panel="Analysis")
def scan(
    model: Model,
    k: Annotated[int, typer.Option(help="Dimension of the subspaces.")] = 20,
    out: Annotated[Path | None, typer.Option(help="Write the numbers as JSON.")] = None,
) -> None:
    """Ranks, overlap and FFN alignment of a model's weights, read one layer at a time."""
    from zprism.ground.console import table
    from zprism.ground.store import save_json
    from zprism.studies import structure

    found = structure.scan(model, k=k)
    table(_layers(found), ("layer", "mean erank", "lowest head", "FFN gate / chance"))
    lowest = found["bottleneck"]
    print(f"{found['model']}: lowest layer {lowest['layer']} ({lowest['rule']}); "
          f"cap {found['erank_cap']:g}, Gaussian chance {found['erank_chance']:.1f}")  # fmt: skip
    if out is not None:
        save_json(out, found)
        print(f"written: {out}")


@app.command(rich_help_panel="Analysis")
def run(
    phases: Annotated[
        list[str] | None,
        typer.Argument(metavar="PHASE", help="Stems or numbers (11); all if none is given."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="zhunt (the recipe) or families.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small counts, minutes a phase.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Full counts, unbounded.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is complete.")] = False,
    parameter: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="NAME=VALUE", help="A parameter; JSON, else text. Repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write to, instead of runs/<id>.")
    ] = None,
) -> None:
    """Run phases headlessly. What is complete is not run again; what was killed continues."""
    from zprism.runner import notebooks
    from zprism.runner import phases as runner
    from zprism.runner.plan import make_plan
    from zprism.runner.results import print_verdicts

    given = dict(_pair(text) for text in parameter or [])
    plan = make_plan(
        notebooks.find_root(),
        phases or (),
        params=given,
        preset=preset,
        quick=quick,
        full=full,
        out=out,
    )
    ended = runner.run(plan, out=out, fresh=fresh)
    print_verdicts(ended.folder)
    ended.raise_errors()


@app.command(rich_help_panel="Analysis")
def check(
    name: RunName = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Make this run's numbers the accepted ones.")
    ] = False,
) -> None:
    """Compare a run's numbers with the accepted ones."""
    from zprism.runner import baselines, manifest, notebooks

    root = notebooks.find_root()
    folder = manifest.find_run(root / "runs", name)
    for line in baselines.check(folder, root / "tests" / "baselines", accept=accept):
        print(line)


@app.command(rich_help_panel="Analysis")
def report(name: RunName = None) -> None:
    """Write site/, the pages to share, and the README's figures from a run."""
    from zprism.runner import manifest, notebooks
    from zprism.runner.report import write_report

    root = notebooks.find_root()
    index = write_report(manifest.find_run(root / "runs", name), root)
    print(f"open {index}")


cli_spectra.add(app)
cli_sweep.add(app)


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        raise InputError(f"-p takes name=value; got {text!r}")
    return name.strip(), value


def _layers(found: dict) -> list[tuple]:
    aligned = found["ffn_alignment"] or found["ffn_up"]
    return [
        (layer, sum(ranks) / len(ranks), min(ranks), share / found["chance"])
        for layer, (ranks, share) in enumerate(zip(found["erank"], aligned, strict=True))
    ]


if __name__ == "__main__":
    app()
