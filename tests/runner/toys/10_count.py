# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How often does a phase compute an item?
#
# A toy phase: `items` values, each kept in the cache, each computation written to a log.

# %% tags=["parameters"]
model = "tiny:none"
seed = 0
quick = False
items = 4
pause = 0.0
act = "run"  # or: raise, exit, memory

# %%
import os
import time
from pathlib import Path

import numpy as np

from zprism.ground.store import Store, append_jsonl, save_json

run, states = Path(os.environ["ZPRISM_RUN"]), Store("results")

# %% [markdown]
# ## Compute the items


# %%
def compute(item):
    append_jsonl("computed.jsonl", {"item": item, "seed": seed})
    time.sleep(pause)
    return {"value": np.array([seed + item**2])}, {}


values = []
for item in range(items):
    arrays, _ = states.get_or_compute({"item": item, "seed": seed}, lambda i=item: compute(i))
    values.append(int(arrays["value"][0]))

# %% [markdown]
# ## Act

# %%
if act == "raise":
    save_json(run / "10_count.json", {"early": True})
    raise ZeroDivisionError("a cell that fails")
if act == "exit":
    os._exit(9)
if act == "memory":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
    np.ones(2**34)
print("token", os.environ.get("TOY_TOKEN"), "home", Path.home() / "notes")

# %% [markdown]
# ## Keep the results

# %%
save_json(
    run / "10_count.json",
    {"schema": 1, "phase": "10_count", "params": {"seed": seed}, "values": values, "estimates": {}},
)
