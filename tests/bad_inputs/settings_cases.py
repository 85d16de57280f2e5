"""Bad settings: unknown keys and names, wrong values, and settings that do not fit each other."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from tests.bad_inputs.corruptions import raising, written
from tests.bad_inputs.workspace import Case

CASES = [
    Case("a typo in a key", "tsfm train ... sede=1", ("sede is not a setting; did you mean 'seed'?",)),
    Case(
        "a typo in a nested key",
        "tsfm train ... backbone.dept=2",
        ("backbone.dept is not a setting; did you mean 'depth'?", "heads"),
    ),
    Case("a key that no component has", "tsfm train ... +new.key=1", ("new is not a setting; known:", "backbone")),
    Case(
        "a typo in a sweep",
        "tsfm train -m ... sede=1,2",
        ("sede is not a setting; did you mean 'seed'?",),
        may_create=("results",),  # the states of the jobs
    ),
    Case(
        "an unknown choice of a group",
        "tsfm train ... backbone=dlinera",
        ("unknown backbone 'dlinera'; did you mean 'dlinear'?", "patch_transformer"),
    ),
    Case(
        "an unknown experiment",
        "tsfm train experiment=ltsf/patch_transformer_eth1_96",
        ("unknown experiment", "did you mean 'ltsf/patch_transformer_etth1_96'?"),
    ),
    Case("a setting without =", "tsfm train ... seed", ("'seed' cannot be read", "missing EQUAL", "key=value")),
    Case(
        "a value of the wrong type",
        "tsfm train ... model.width=wide",
        ("model.width is 'wide'; expected a value of type integer",),
    ),
    Case(
        "a list that is a number",
        "tsfm train ... head.quantile_levels=0.5",
        ("head.quantile_levels has type float; expected a list",),
    ),
    Case("no data set", "tsfm train data=store", ("no value for data.dataset; give one", "data.dataset=...")),
    Case(
        "a negative batch size", "tsfm train ... data.batch_size=-4", ("data.batch_size is -4; it must be at least 1",)
    ),
    Case("a learning rate of 0", "tsfm train ... optim.lr=0", ("optim.lr is 0", "above 0")),
    Case(
        "ratios that do not sum to 1",
        "tsfm train ... data.ratios=[0.7,0.1,0.1]",
        ("ratios are [0.7, 0.1, 0.1]", "sum to 1"),
    ),
    Case(
        "heads that do not divide the width",
        "tsfm train ... backbone.heads=3",
        ("width 16 is not a multiple of heads 3", "use heads"),
    ),
    Case(
        "a patch longer than the context",
        "tsfm train ... model.patch=64 model.stride=64",
        ("model.patch 64 is longer than the window, context + horizon = 40",),
    ),
    Case(
        "a point loss with a quantile head",
        "tsfm train ... head=patch_quantiles task.loss=mse",
        ("task.loss=mse needs one number per step, the head gives 9 quantiles", "use task.loss=pinball"),
    ),
    Case(
        "another number of channels than the data set has",
        "tsfm train ... model.channels=3",
        ("model.channels is 3, and data set 'store' has 1; set model.channels", "null"),
    ),
    Case("a training without an end", "tsfm train ... trainer.max_epochs=-1", ("trainer has no end; set max_epochs",)),
    Case(
        "a duration in words",
        "tsfm train ... trainer.max_time=soon",
        ("trainer.max_time is 'soon'; write dd:hh:mm:ss",),
    ),
    Case(
        "a validation every 0 batches",
        "tsfm train ... trainer.val_every=0",
        ("trainer.val_every is 0; it must be at least 1",),
    ),
    Case(
        "more devices than there are",
        "tsfm train ... trainer.devices=4096",
        ("trainer.devices is 4096; this machine has at most", "use fewer"),
        raising(pl, "Trainer", RuntimeError("nothing may be started")),
    ),
    Case(
        "a bad value in a sweep",
        "tsfm train -m ... optim.lr=0,0.1",
        ("optim.lr is 0.0; a learning rate is above 0",),
        may_create=("results", "runs"),  # the valid combination is run
    ),
    Case(
        "a training that ends before its first validation",
        "tsfm train ... trainer.val_every=1000 run_dir=new",
        ("training ended before its first validation: the last weights are kept", "RESULT {"),
        may_create=("new",),
        works=lambda: Path("new/model/model.safetensors").is_file(),
    ),
    Case(
        "an accelerator that does not exist",
        "tsfm train ... trainer.accelerator=gup",
        ("trainer.accelerator is 'gup'; did you mean 'gpu'?",),
    ),
    Case(
        "an accelerator that this machine does not have",
        "tsfm train ... trainer.accelerator=tpu",
        ("trainer.accelerator=tpu", "is not possible here", "try accelerator=auto"),
    ),
    Case(
        "a strategy that does not exist",
        "tsfm train ... trainer.strategy=magic",
        ("strategy=magic", "is not possible here"),
    ),
    Case(
        "a claim about an unknown metric",
        "tsfm train ... expect=[{metric:mze,value:1}]",
        ("expect.metric is 'mze'; did you mean 'mse'?",),
    ),
    Case(
        "a config folder that does not exist",
        "tsfm train --config-dir cnof experiment=tiny",
        ("--config-dir cnof is not a folder", "experiment/mine.yaml"),
    ),
    Case(
        "a config file that is not YAML",
        "tsfm train ...",
        ("a config file is not YAML", "tiny.yaml", "line 1"),
        written("conf/experiment/tiny.yaml", "a: [1\n"),
    ),
    Case("no data set to show", "tsfm show data=store", ("no value for data.dataset; give one",)),
    Case(
        "a covariate that the data set does not have",
        "tsfm train ... data.known=[price]",
        ("data set 'store': data.known: no channel 'price'; known: target",),
    ),
    Case(
        "covariates and no target",
        "tsfm train ... data.past=[target]",
        ("data.known and data.past name all channels (target)", "leave a target out of them"),
    ),
    Case(
        "a covariate that is named twice",
        "tsfm train ... data.past=[target] data.known=[target]",
        ("channel 'target' is named in data.past and in data.known", "name it once"),
    ),
    Case(
        "an unknown time feature",
        "tsfm train ... data.time_features=[huor]",
        ("data.time_features has 'huor'; did you mean 'hour'?",),
    ),
    Case(
        "time features that are not a list",
        "tsfm train ... data.time_features=hour",
        ("data.time_features is 'hour'; expected true, false or a list of fields: minute, hour",),
    ),
    Case(
        "time features for a backbone that does not mix channels",
        "tsfm train ... data.time_features=[hour] run_dir=new",
        ("does not mix channels, so the covariates calendar_hour are left out; set backbone.mix_every", "RESULT {"),
        may_create=("new",),
        works=lambda: Path("new/model/model.safetensors").is_file(),
    ),
]
