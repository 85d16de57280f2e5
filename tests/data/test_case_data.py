"""Laws of labelled cases: nothing is lost, splits follow from the seed, padding is unobserved, bad input is named."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.conftest import data_root
from tsfm.config import compose, typed
from tsfm.data import case_data as module
from tsfm.data import case_files
from tsfm.data.case_data import CaseData, CasesConfig
from tsfm.data.case_labels import apportion, select_share, select_validation
from tsfm.store.ingest import ingest

IN_MEMORY = CasesConfig("in memory")
realdata = pytest.mark.realdata
needs_data = pytest.mark.skipif(not (data_root() / "classification").is_dir(), reason="no data at TSFM_DATA")


def unequal(num: int = 30, *, channels: int = 2, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    cases = [rng.normal(3, 5, size=(channels, steps)).astype(np.float32) for steps in rng.integers(4, 12, num)]
    for case in cases[::3]:
        case[0, 1] = np.nan
    return cases


def names(num: int = 30) -> list[str]:
    return [("b", "a", "10", "b", "b")[i % 5] for i in range(num)]


def made(**settings) -> CaseData:
    test = (unequal(7, seed=1), names(7))
    config = replace(IN_MEMORY, **settings)
    data = CaseData.from_arrays(unequal(), names(), test=test, config=config)
    data.setup()
    return data


def write(path, *, label="label", labels=None, split=None, series=None, **more):
    series = [case.tolist() for case in unequal(8)] if series is None else series
    labels = ["x", "y"] * (len(series) // 2) if labels is None else labels
    split = ["train"] * 6 + ["test"] * 2 if split is None else split
    columns = {"split": split, label: labels, "series": pa.array(series, pa.list_(pa.list_(pa.float32()))), **more}
    pq.write_table(pa.table({name: values for name, values in columns.items() if values is not False}), path)
    return str(path)


def test_every_value_of_every_case_arrives_and_nothing_else_is_observed() -> None:
    data, cases = made(), unequal(7, seed=1)
    batch = data.windows("test").gather(range(7))
    assert data.length == max(case.shape[1] for case in unequal())
    assert batch.key is not None
    for row, case in enumerate(cases):
        kept = case[:, -data.length :]
        assert int(batch.observed[row].sum()) == int((~np.isnan(kept)).sum())
        tail = torch.where(batch.observed, batch.values, torch.nan)[row, :, data.length - kept.shape[1] :]
        np.testing.assert_array_equal(tail.numpy(), kept)
        assert batch.key[row].tolist() == [row, case.shape[1] - data.length]
    assert bool((batch.values[~batch.observed] == 0).all())


def test_labels_are_places_among_the_sorted_classes() -> None:
    data = made()
    assert data.classes == ("10", "a", "b")
    assert data.encoder.num_outputs == 3
    assert data.class_counts == [6, 6, 18]
    label = data.windows("train").gather(range(30)).label
    assert label is not None
    assert label.dtype == torch.int64
    assert [data.classes[i] for i in label] == names()


def test_an_epoch_holds_every_training_case_once_in_even_batches() -> None:
    data = made(batch_size=7)
    batches = list(data.train_dataloader())
    assert [len(batch.values) for batch in batches] == [6, 6, 6, 6, 6]
    seen = torch.cat([batch.key[:, 0] for batch in batches if batch.key is not None])
    assert sorted(seen.tolist()) == list(range(30))
    again = torch.cat([b.key[:, 0] for b in made(batch_size=7).train_dataloader() if b.key is not None])
    assert torch.equal(seen, again)
    test = list(made(eval_batch_size=4).test_dataloader())
    assert [len(batch.values) for batch in test] == [4, 3]


@pytest.mark.parametrize("val", [0.1, 0.2, 0.5])
def test_validation_is_stratified_and_takes_from_training_alone(val: float) -> None:
    data = made(val=val)
    parts = {split: data.windows(split).gather(range(len(data.windows(split)))) for split in ("train", "val")}
    numbers = {split: set(batch.key[:, 0].tolist()) for split, batch in parts.items() if batch.key is not None}
    assert numbers["train"] | numbers["val"] == set(range(30))
    assert not numbers["train"] & numbers["val"]
    assert len(numbers["val"]) == round(30 * val)
    held = np.bincount(parts["val"].label.numpy(), minlength=3)  # type: ignore[union-attr]
    assert np.abs(held - np.array([6, 6, 18]) * val).max() < 1
    assert len(data.windows("test")) == 7
    assert len(list(data.val_dataloader())) == 1


def test_without_val_there_is_no_validation() -> None:
    assert made().val_dataloader() == []
    assert len(made().windows("val")) == 0


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5])
def test_few_shot_keeps_every_class_and_follows_from_the_seed(fraction: float) -> None:
    data = made(fraction=fraction)
    assert sum(data.class_counts) == max(3, round(30 * fraction))
    assert min(data.class_counts) >= 1
    other = CaseData.from_arrays(unequal(), names(), config=replace(IN_MEMORY, fraction=fraction), seed=1)
    picked = [set(d.windows("train").gather(range(sum(data.class_counts))).key[:, 0].tolist()) for d in (data, other)]  # type: ignore
    assert picked[0] != picked[1]


def test_seats_follow_the_shares() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        sizes = rng.integers(1, 40, size=rng.integers(1, 6))
        total = int(rng.integers(0, sizes.sum() + 1))
        seats = apportion(sizes, total, least=np.zeros_like(sizes), most=sizes)
        assert seats.sum() == total
        assert (np.abs(seats - sizes * total / sizes.sum()) < 1).all()
    labels = np.array(list("aaaaaabbbc"), dtype=object)
    assert sorted(labels[select_share(labels, np.arange(10), 0.1, rng=rng)]) == ["a", "b", "c"]
    assert "c" not in labels[select_validation(labels, np.arange(10), 0.9, rng=rng)]


def test_standardising_gives_training_values_mean_0_and_deviation_1() -> None:
    data = made(standardize=True, val=0.2)
    assert data.standardizer is not None
    batch = data.windows("train").gather(range(24))
    for channel in range(2):
        values = batch.values[:, channel][batch.observed[:, channel]]
        assert abs(float(values.mean())) < 1e-5
        assert abs(float(values.std(correction=0)) - 1) < 1e-5
    plain = made(val=0.2).windows("test").gather(range(7))
    loc, scale = (
        torch.tensor(a, dtype=torch.float32)[:, None] for a in (data.standardizer.loc, data.standardizer.scale)
    )
    again = data.windows("test").gather(range(7)).values * scale + loc
    torch.testing.assert_close(torch.where(plain.observed, again, 0.0), plain.values)


def test_regression_has_numbers_in_units_of_the_training_cases() -> None:
    y = np.random.default_rng(0).normal(100, 20, 30)
    data = CaseData.from_arrays(
        unequal(), y, regress=True, config=replace(IN_MEMORY, val=0.2), test=(unequal(7), y[:7])
    )
    assert (data.encoder.num_outputs, data.class_counts, data.classes) == (1, None, ())
    label = data.windows("train").label
    assert label.dtype == torch.float32
    assert abs(float(label.mean())) < 1e-6
    loc, scale = data.encoder.loc, data.encoder.scale
    np.testing.assert_allclose(data.windows("test").label.numpy() * scale + loc, y[:7], rtol=1e-6)


def test_shorter_windows_keep_the_last_steps_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tsfm"):
        data = made(length=5)
    assert "longer than 5 steps" in caplog.text
    case = unequal(7, seed=1)[0]
    values = data.windows("test").gather([0]).values[0].numpy()
    assert case.shape[1] > 5
    np.testing.assert_array_equal(values, np.nan_to_num(case)[:, -5:])
    assert data.resolved_config.length == 5
    assert made().resolved_config.length == 11


def test_an_array_and_a_list_are_the_same_cases() -> None:
    array = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)
    from_array = CaseData.from_arrays(array, np.arange(12) % 2)
    from_list = CaseData.from_arrays(list(array[:, None]), [str(i % 2) for i in range(12)])
    assert from_array.fingerprint == from_list.fingerprint
    assert torch.equal(from_array.windows("train").gather([3]).values, from_list.windows("train").gather([3]).values)
    assert from_array.classes == from_list.classes == ("0", "1")
    assert from_array.num_channels == 1


def test_fingerprints_follow_the_values_alone() -> None:
    assert made().fingerprint == made(val=0.3, standardize=True).fingerprint
    changed = unequal()
    changed[4][0, 0] += 1
    assert CaseData.from_arrays(changed, names()).fingerprints != CaseData.from_arrays(unequal(), names()).fingerprints


def test_a_file_and_a_store_hold_the_same_cases(tmp_path) -> None:
    cases = unequal(8)
    path = write(tmp_path / "Toy.parquet")
    for split, rows in (("TRAIN", range(6)), ("TEST", range(6, 8))):
        lines = ["@problemName Toy", "@timestamps false", "@univariate false", "@classLabel true x y", "@data"]
        for i in rows:
            text = ":".join(",".join("?" if np.isnan(v) else repr(float(v)) for v in row) for row in cases[i])
            lines.append(f"{text}:{'xy'[i % 2]}")
        (tmp_path / f"Toy_{split}.ts").write_text("\n".join(lines) + "\n")
    store = tmp_path / "store"
    ingest([tmp_path / "Toy_TRAIN.ts", tmp_path / "Toy_TEST.ts"], store)
    from_file, from_store = (CaseData(CasesConfig(str(name))) for name in (path, store))
    assert from_file.fingerprint == from_store.fingerprint
    assert from_file.classes == from_store.classes == ("x", "y")
    assert from_file.windows("test").label.tolist() == from_store.windows("test").label.tolist()


def test_a_name_is_found_whatever_its_case(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "classification").mkdir()
    write(tmp_path / "classification" / "GunToy.parquet")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    assert len(CaseData(CasesConfig("guntoy")).windows("train")) == 6
    with pytest.raises(ValueError, match="did you mean 'GunToy'"):
        CaseData(CasesConfig("GunTony")).setup()


BAD_FILES = {
    "no label column": ({"label": "kind"}, "no label column"),
    "both": ({"y": [1.0] * 8}, "both a label and a y"),
    "no split": ({"split": False}, "no column 'split'"),
    "unknown split": ({"split": ["train"] * 6 + ["dev"] * 2}, "split holds 'dev'"),
    "empty split": ({"split": ["train"] * 8}, "has no test cases"),
    "no label": ({"labels": ["x", None] * 4}, "4 of 8 cases have no label"),
    "one class": ({"labels": ["x"] * 8}, "have the class 'x'"),
    "unseen": ({"labels": ["x", "y"] * 3 + ["x", "z"]}, "test cases have the label 'z'"),
    "channels": ({"series": [[[1.0, 2.0]]] * 7 + [[[1.0], [2.0]]]}, "has 2 channels"),
    "uneven": ({"series": [[[1.0, 2.0]]] * 7 + [[[1.0], [2.0, 3.0]]]}, "row 7: the channels have"),
    "nothing observed": ({"series": [[[1.0, 2.0]]] * 7 + [[[np.nan, np.nan]]]}, "test, case 1 has no observed value"),
    "infinite": ({"series": [[[1.0, np.inf]]] * 8}, "train, case 0, channel 0, step 1 is infinite"),
    "no number": ({"label": "y", "labels": [1.0, np.nan] * 4}, "4 of 8 cases have no label"),
    "one number": ({"label": "y", "labels": [1.0] * 8}, "have the target 1.0"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_named(name: str, tmp_path) -> None:
    settings, message = BAD_FILES[name]
    with pytest.raises(ValueError, match=message):
        CaseData(CasesConfig(write(tmp_path / "bad.parquet", **settings))).setup()


def test_bad_cases_in_memory_are_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cases, labels, message in (
        (unequal(4), names(5), "4 cases and 5 labels"),
        ([np.zeros((1, 2, 3))] * 2, ["a", "b"], "expected .channels, steps."),
        ([], [], "no train cases"),
        (unequal(4), ["a", "b", "c", "d"], "selects no validation case"),
    ):
        with pytest.raises(ValueError, match=message):
            CaseData.from_arrays(cases, labels, config=replace(IN_MEMORY, val=0.2)).setup()
    late = [np.array([[1.0, np.nan, np.nan, np.nan]]), np.ones((1, 4))]
    with pytest.raises(ValueError, match="case 0 has no observed value among its last 2 steps"):
        CaseData.from_arrays(late, ["a", "b"], config=replace(IN_MEMORY, length=2)).setup()
    monkeypatch.setattr(module, "LIMIT_GIB", 1e-9)
    with pytest.raises(ValueError, match=r"set data\.length"):
        CaseData.from_arrays(unequal(), names()).setup()
    (tmp_path / "x.ts").write_text("")
    with pytest.raises(ValueError, match=r"\.ts file"):
        CaseData(CasesConfig(str(tmp_path / "x.ts"))).setup()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        CaseData(CasesConfig(str(tmp_path / "gone.parquet"))).setup()


@pytest.mark.parametrize(
    "setting", ["val=1", "fraction=0", "batch_size=0", "length=0", "eval_batch_size=0", "val=-0.1"]
)
def test_settings_out_of_range_are_refused(setting: str) -> None:
    key, value = setting.split("=")
    with pytest.raises(ValueError, match=f"data.{key} is"):
        CasesConfig("x", **{key: float(value)})  # type: ignore[arg-type]


def test_the_config_composes() -> None:
    config = typed(compose("eval", ["data=cases", "data.dataset=GunPoint", "data.val=0.2", "predictor=x"])).data
    assert config == CasesConfig("GunPoint", val=0.2)


@needs_data
@realdata
@pytest.mark.parametrize(
    ("name", "shape", "cases", "classes"),
    [
        ("gunpoint", (1, 150), (50, 150), 2),
        ("PLAID", (1, 1344), (537, 537), 11),
        ("DodgerLoopDay", (1, 288), (78, 80), 7),
        ("JapaneseVowels", (12, 26), (270, 370), 9),
        ("Covid3Month", (1, 84), (140, 61), 0),
    ],
)
def test_the_archives_sets_are_read_whole(name: str, shape: tuple, cases: tuple, classes: int) -> None:
    data = CaseData(CasesConfig(name))
    assert (data.num_channels, data.resolved_config.length) == shape
    assert (len(data.windows("train")), len(data.windows("test"))) == cases
    assert len(data.classes) == classes


LISTS = {
    "large": pa.large_list(pa.large_list(pa.float64())),
    "fixed steps": pa.list_(pa.list_(pa.float32(), 20)),
    "fixed": pa.list_(pa.list_(pa.float32(), 20), 2),
    "views": pa.list_view(pa.list_view(pa.float64())),
    "large views": pa.large_list_view(pa.large_list_view(pa.float64())),
    "mixed": pa.large_list(pa.list_(pa.float16())),
    "integers": pa.list_(pa.list_(pa.int16())),
    "decimals": pa.list_(pa.list_(pa.decimal128(9, 3))),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("flat", [False, True])
def test_lists_of_every_kind_are_cases(kind: str, flat: bool) -> None:
    """Also a slice of a column, whose lists begin somewhere within it."""
    values = [[[float(i + j + 100 * c) for j in range(20)] for c in range(2)] for i in range(9)]
    whole = pa.array(values, pa.list_(pa.list_(pa.float64())))
    if flat:
        values, whole = [case[0] for case in values], pa.array([case[0] for case in values], pa.list_(pa.float64()))
    column = _as_kind(whole, LISTS[kind].value_type if flat else LISTS[kind])
    for rows, expected in ((column, values), (column.slice(3, 4), values[3:7])):
        arrays = case_files._arrays(pa.chunked_array([rows]), "t")
        assert [array.tolist() for array in arrays] == (expected if not flat else [[case] for case in expected])


def _as_kind(array: pa.Array, kind: pa.DataType) -> pa.Array:
    values = array.to_pylist()
    if "decimal" in str(kind):
        values = json.loads(json.dumps(values), parse_float=Decimal)
    if "halffloat" in str(kind):
        values = [_halves(case) for case in values]
    if "int16" in str(kind):
        values = json.loads(json.dumps(values), parse_float=lambda text: int(float(text)))
    return pa.array(values, kind)


def _halves(case: list) -> list:
    return [_halves(value) if isinstance(value, list) else np.float16(value) for value in case]


def test_missing_values_and_missing_lists() -> None:
    column = pa.chunked_array([pa.array([[[1.0, None], [2.0, 3.0]]], LISTS["large"])])
    assert np.array_equal(case_files._arrays(column, "t")[0], [[1, np.nan], [2, 3]], equal_nan=True)
    for values, message in (([None, [[1.0]]], "1 missing rows"), ([[None, [1.0]]], "1 channels are missing")):
        with pytest.raises(ValueError, match=message):
            case_files._arrays(pa.chunked_array([pa.array(values, LISTS["large"])]), "t")
