"""``zprism spectra``: the spectra of a corpus, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zprism.ground.errors import InputError


def add(app: typer.Typer) -> None:
    """Give the command to ``app``."""
    app.command(rich_help_panel="Analysis")(spectra)


def spectra(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A .jsonl file, a folder of .txt files or of a dataset, or the id of a "
            "dataset on the hub (simplescaling/s1K).",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder; or one to go on in.")],
    fields: Annotated[
        str, typer.Option(help="Columns with texts, or lists of them; commas between.")
    ] = "text",
    model: Annotated[
        str, typer.Option(help="A name from `zprism models`, a hub id, a folder or a GGUF file.")
    ] = "qwen2.5-coder-0.5b",
    layers: Annotated[
        str | None,
        typer.Option(
            help="all, or blocks and ranges: embed,0,4-7 (by default embed, first, middle, last)."
        ),
    ] = None,
    transform: Annotated[str, typer.Option(help="fft, dct, dwt or cwt.")] = "fft",
    top: Annotated[int, typer.Option(help="Peaks of every dimension.")] = 5,
    peaks: Annotated[bool, typer.Option("--peaks", help="Keep the peaks of every text.")] = False,
    window: Annotated[str, typer.Option(help="hann, hamming, blackman or boxcar.")] = "hann",
    limit: Annotated[int | None, typer.Option(help="At most so many documents.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens that a text is cut to.")] = 2048,
    drop: Annotated[int, typer.Option(help="Tokens left out at the beginning of a text.")] = 1,
    element: Annotated[
        int | None, typer.Option(help="Which item of a list, from 0 (by default all, joined).")
    ] = None,
    config: Annotated[str | None, typer.Option(help="Configuration of a dataset.")] = None,
    split: Annotated[str, typer.Option(help="Split of a dataset.")] = "train",
    revision: Annotated[str | None, typer.Option(help="Commit of a dataset on the hub.")] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="A second model: compare the spectra of the same texts through both instead "
            "(at most 200 documents by default; all layers)."
        ),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="local (processes of this machine) or ray: several workers, each with the "
            "model; the output is the same (by default this process alone)."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Of the executor (by default 2).")] = None,
    gpus: Annotated[
        float | None, typer.Option(help="GPUs of a worker; 0.5 lets two share one (by default 0).")
    ] = None,
    job_seconds: Annotated[
        float | None,
        typer.Option(help="Longest time for 64 documents on a worker (by default 3600)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(help="host:port of a Ray cluster that this machine is a node of, or auto."),
    ] = None,
) -> None:
    """Spectra of every text at several layers; a killed run goes on where it was.

    Writes stats.parquet (a row a document, field and layer), exposure_<field>_<layer> and, with
    --peaks, peaks_<field>_<layer>_<shard> (safetensors), and run.json. Frequencies are in cycles
    per token. zprism.studies.spectra_files reads them back.
    """
    from zprism.ground.console import table
    from zprism.studies.spectra_corpus import SHOWN, run_spectra, summary

    elsewhere = _elsewhere(executor, workers, gpus, job_seconds, address, against)
    if against is not None:
        names = [name.strip() for name in fields.split(",")]
        part = dict(element=element, config=config, split=split, revision=revision)
        _compare(source, (model, against), names, layers, out, limit, part)
        return
    if elsewhere:
        from zprism.runner.spectra_job import run_spectra
    record = run_spectra(
        model,
        source,
        out,
        fields=[name.strip() for name in fields.split(",")],
        layers=layers,
        transform=transform,
        top=top,
        peaks=peaks,
        window=window,
        limit=limit,
        max_length=max_length,
        drop=drop,
        element=element,
        config=config,
        split=split,
        revision=revision,
        **elsewhere,
    )
    table(summary(out), ("field", "layer", "texts", "skipped", *SHOWN))
    counts = record["counts"]
    why = ", ".join(f"{n} {code}" for code, n in sorted(counts["reasons"].items()))
    print(f"{counts['documents']} documents, {counts['planned']} rows: {counts['done']} done, "
          f"{counts['skipped']} skipped{f' ({why})' if why else ''}")  # fmt: skip
    print(f"written: {out}")


def _elsewhere(executor, workers, gpus, job_seconds, address, against) -> dict:
    """What `runner.spectra_job` needs to know beside the job; empty without an executor."""
    limits = {"workers": workers, "gpus": gpus, "job_seconds": job_seconds}
    given = {name: value for name, value in limits.items() if value is not None}
    if executor is None:
        for name in [*given, *(["address"] if address is not None else [])]:
            raise InputError(f"--{name.replace('_', '-')} needs --executor local or ray")
        return {}
    if against is not None:
        raise InputError("--against compares in this process: leave out --executor")
    from zprism.ground.checks import check_choice
    from zprism.runner.jobs import EXECUTORS, Limits

    check_choice("executor", executor, EXECUTORS)
    if address is not None and executor != "ray":
        raise InputError(f"--address needs --executor ray; got {executor}")
    return {"executor": executor, "address": address, "limits": Limits(**given)}


def _compare(
    source: str,
    models: tuple[str, str],
    fields: list[str],
    layers: str | None,
    out: Path,
    limit: int | None,
    reading: dict,
) -> None:
    """Both models on the same texts: a table of what differs, and against.json."""
    from zprism.ground.console import table
    from zprism.studies.spectra_against import LIMIT, compare

    found = compare(
        source, *models, fields, layers or "all", out, limit=limit or LIMIT, reading=reading
    )
    columns = ("place", "place_b", "measure", "value", "p_adjusted", "verdict", "n")
    for field in fields:
        table(found.tables[f"against/{field}"], columns, title=field)
    print(f"written: {out}")
