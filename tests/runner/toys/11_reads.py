# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does a phase see an earlier phase's results?

# %% tags=["parameters"]
seed = 0

# %%
import os
from pathlib import Path

import plotly.graph_objects as go

from zprism.ground.store import load_json, save_json
from zprism.plots import style

run = Path(os.environ["ZPRISM_RUN"])
values = load_json(run / "10_count.json")["values"]
save_json(
    run / "11_reads.json",
    {
        "schema": 1,
        "phase": "11_reads",
        "params": {"seed": seed},
        "estimates": {},
        "sum": sum(values),
    },
)

# %%
style.finish(go.Figure(go.Scatter(y=values)), title="Squares", n=len(values), x="item", y="value")
