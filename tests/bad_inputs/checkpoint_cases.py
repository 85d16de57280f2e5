"""Checkpoints that cannot be read."""

from __future__ import annotations

from tests.bad_inputs.corruptions import (
    changed_json,
    combined,
    copied,
    flipped_bit,
    removed,
    replaced_text,
    truncated,
    written,
)
from tests.bad_inputs.workspace import Case

LOAD = "tsfm.load('run')"
WEIGHTS, CONFIG = "run/model/model.safetensors", "run/model/config.json"

CASES = [
    Case("no such model", "tsfm.load('runn')", ("no model 'runn': neither a folder nor a bundled model", "known:")),
    Case(
        "no such model on the command line",
        "tsfm forecast sales.csv --model seasonal_naiv --horizon 3",
        ("no predictor 'seasonal_naiv'", "did you mean 'seasonal_naive'?"),
    ),
    Case(
        "a file as a model",
        "tsfm.load('sales.csv')",
        ("no checkpoint directory at sales.csv; expected a folder with config.json",),
    ),
    Case(
        "a folder without a model",
        "tsfm.load('store')",
        ("store has no config.json; found", "name the folder of a model"),
    ),
    Case(
        "weights cut short",
        LOAD,
        (f"{WEIGHTS} cannot be read", "it may be cut short: copy it again"),
        truncated(WEIGHTS, 4000),
    ),
    Case(
        "a flipped bit of the weights",
        LOAD,
        (f"{WEIGHTS} is damaged: it is not the file that was saved with this model; copy it again",),
        flipped_bit(WEIGHTS, -100),
    ),
    Case(
        "a setting that was changed, and valid",
        LOAD,
        (f"{CONFIG} is damaged or was changed", "Copy it again", "remove the entry 'digest'"),
        replaced_text(CONFIG, '"causal": false', '"causal": true'),
    ),
    Case(
        "a setting of another type",
        LOAD,
        (CONFIG, "backbone.causal is -0.5; expected true or false"),
        replaced_text(CONFIG, '"causal": false', '"causal": -0.5'),
    ),
    Case("no weights", LOAD, ("run/model has no model.safetensors; copy it",), removed(WEIGHTS)),
    Case("a config cut short", LOAD, (f"{CONFIG} is not a tsfm model config", "copy it again"), truncated(CONFIG, 100)),
    Case(
        "a checkpoint of another format",
        LOAD,
        (f"{CONFIG} has checkpoint format 7", "reads formats up to 2: install the version that wrote it"),
        changed_json(CONFIG, format=7),
    ),
    Case(
        "the config of a foreign model",
        LOAD,
        (f"{CONFIG} is not a tsfm model config (it has no 'format'); name a folder",),
        written(CONFIG, '{"architectures": ["T5"]}'),
    ),
    Case(
        "an unknown backbone",
        LOAD,
        (CONFIG, "unknown backbone 'patch_transfomer'; did you mean 'patch_transformer'?"),
        changed_json(CONFIG, model__backbone__name="patch_transfomer"),
    ),
    Case(
        "a setting that no backbone has",
        LOAD,
        ("backbone.dept is not a setting of 'patch_transformer'; did you mean 'depth'?",),
        changed_json(CONFIG, model__backbone__dept=2),
    ),
    Case(
        "weights of another shape",
        LOAD,
        (f"{WEIGHTS}: backbone.", "has shape (16,); config.json describes (32,); copy both files from the same model"),
        changed_json(CONFIG, model__width=32),
    ),
    Case(
        "weights of another depth",
        LOAD,
        (
            f"{WEIGHTS} does not belong to its config.json: missing ['backbone.blocks.1.",
            "copy both files from the same model",
        ),
        changed_json(CONFIG, model__backbone__depth=2),
    ),
    Case(
        "a model of more channels than the data",
        "tsfm eval data=store data.dataset=store predictor=run",
        ("this model was built for 3 channels; found 1: choose as many",),
        changed_json(CONFIG, model__channels=3),
    ),
    Case(
        "a config that describes no model",
        "tsfm show run",
        (CONFIG, "describes a model that this tsfm", "has no scaler, backbone, head; found []"),
        changed_json(CONFIG, model={}),
    ),
    Case(
        "a damaged model among others",
        "tsfm models",
        ("runs/good/model  patch_transformer, context 32, horizon 8", "runs/odd/model  cannot be read"),
        combined(
            copied("run/model", "runs/good/model"),
            changed_json(CONFIG, model={}),
            copied("run/model", "runs/odd/model"),
        ),
        works=lambda: True,
    ),
]
