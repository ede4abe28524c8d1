"""Every configuration composes; no mistake in one gets through."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from imtext.config.compose import check_overrides, compose_config
from imtext.config.instantiate import instantiate, locate
from imtext.config.launch import _expand_home
from imtext.config.paths import CONFIG_DIR
from imtext.config.schema import check_config
from imtext.config.suggestions import did_you_mean
from imtext.errors import ConfigError

OPTIONS = sorted(
    str(path.relative_to(CONFIG_DIR).with_suffix(""))
    for path in CONFIG_DIR.rglob("*.yaml")  # however deep
    if path.parent != CONFIG_DIR and path.parts[-2] not in ("hydra", "help", "job_logging")
)


def test_there_are_configs() -> None:
    groups = {option.split("/")[0] for option in OPTIONS}
    expected = {
        "data",
        "model",
        "loss",
        "optim",
        "trainer",
        "callbacks",
        "logger",
        "experiment",
        "sweep",
        "debug",
        "paths",
    }
    assert expected <= groups
    assert len(OPTIONS) >= 20


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option: str) -> None:
    group, name = option.split("/", 1)
    override = f"{group}={name}"
    if option in ("data/default", "data/as_trained"):
        compose_config("evaluate", [override])
        return
    check_config(compose_config("train", [override]))


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(ConfigError, match="ckpt_path is needed"):
        check_overrides("evaluate", [])


def test_evaluate_composes() -> None:
    check_config(compose_config("evaluate", ["ckpt_path=x.ckpt"]), "evaluate")


# Everything the original hyper-parameters name can be set.
ORIGINAL = [
    "model.embed_dim=256", "data.vocab_size=10000", "data.max_text_length=64", "model.text_encoder.hidden_dim=512",
    "model.dropout=0.1", "model.temperature=0.07", "model.learn_temperature=false", "data.batch_size=32",
    "optim.lr=1e-4", "trainer.max_epochs=10", "data.image_size=224", "data.image_mean=[0.485,0.456,0.406]",
    "data.image_std=[0.229,0.224,0.225]", "trainer.accumulate_grad_batches=2", "trainer.precision=16-mixed",
    "data.num_workers=2", "seed=0", "trainer=mps", "model.image_encoder.weights=null", "data.split=official",
]  # fmt: skip


@pytest.mark.parametrize("override", ORIGINAL)
def test_original_settings_can_be_set(override: str) -> None:
    check_overrides("train", [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=3", "trainer.max_epochs"),
        ("+modle.x=1", "Did you mean model"),
        ("modle=mobilenet_lstm", "Did you mean model"),
        ("model=mobilenet_lsmt", "Did you mean mobilenet_lstm"),
        ("exprement=quickstart", "Did you mean experiment"),
        ("batch_size=8", "Did you mean data.batch_size"),
        ("lr=1e-3", "Did you mean optim.lr"),
        ("optim.lrr=1e-3", "Did you mean optim.lr"),
        ("+trainer.gradient_clip=1", "gradient_clip_val"),
        ("+data.augment.crop=0.5", "no setting called data.augment.crop"),
        ("+model.dropout=0.5", r"leave the \+ away"),
        ("+callbacks.early.patience=3", "callbacks.early has no _target_"),
        ("+paths.ouput_dir=x", "Did you mean paths.output_dir"),
        ("data.batch_size=many", "data.batch_size=many: input should be a valid integer"),
        ("optim.lr=fast", "optim.lr=fast"),
        ("model.image_encoder._target_=os.system", "outside of"),
        ("no_equals_sign", "key=value"),
        ("logger=null", "write ~logger"),
        ("trainer.max_time=60", r"write \+trainer\.max_time=60"),
        ("tags.note=hello", r"write \+tags\.note=hello"),
        ("model.learn_temperature=no", "valid boolean"),  # a string for Hydra, which would count as true
        ("data.batch_size=8.0", "valid integer"),
        ("seed=-1", "seed=-1"),
        ("seed=null", "seed=null"),
        ("optim.lr=1e-4,fast", "optim.lr=fast"),  # every value of a sweep
        ("model.embed_dim=128,256,x", "model.embed_dim=x"),
    ],
)
def test_mistakes_are_refused_with_a_suggestion(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_overrides("train", [override])


def test_additions_that_exist_are_allowed() -> None:
    check_overrides("train", ["+trainer.max_time=00:01:00:00"])
    check_overrides("train", ["+tags.note=hello"])
    check_overrides("train", ["~callbacks.examples"])
    check_overrides("train", ["callbacks.early_stopping=null"])


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert [_expand_home(text) for text in ("data.path=~/a b", "+x=~", "~callbacks.examples", "run_name=a~/b")] == [
        "data.path=/home/me/a b", "+x=/home/me", "~callbacks.examples", "run_name=a~/b"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "target",
    ["os.system", "builtins.eval", "imtext.config.compose.os.system", "imtext.config.instantiate.import_module",
     "imtext.nothing.Here", "subprocess.Popen", "torch.load", "torch.hub.load",
     "lightning.pytorch.Trainer.__init__.__globals__"],
)  # fmt: skip
def test_only_trusted_targets(target: str) -> None:
    with pytest.raises(ConfigError):
        instantiate({"_target_": target})


def test_ones_own_package_can_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="IMTEXT_TRUSTED_MODULES=fractions"):
        locate("fractions.Fraction")
    monkeypatch.setenv("IMTEXT_TRUSTED_MODULES", "fractions")
    assert instantiate({"_target_": "fractions.Fraction", "numerator": 1, "denominator": 2}) == 0.5


def test_constructors_complain_in_their_own_words() -> None:
    with pytest.raises(ConfigError, match=r"^optim\.lr must be above zero, not -1"):
        instantiate({"_target_": "imtext.training.optim.AdamW", "lr": -1})


def test_did_you_mean_stays_silent_without_a_near_name() -> None:
    assert did_you_mean("zzz", ["model", "data"]) == ""


@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_does_not_wait_for_torch(flag: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.argv = ['train', {flag!r}]\n"
        "from imtext.train import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "mobilenet_lstm" in shown.stdout or "MobileNetV3Small" in shown.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("trainer.max_epoch=3", "there is no setting called trainer.max_epoch."),
        ("optim.lr=1e-4,3e-4", "several values make a sweep; add -m"),
    ],
)
def test_command_line_reports_mistakes_without_a_traceback(tmp_path: Path, mistake: str, message: str) -> None:
    command = [sys.executable, "-m", "imtext.train", mistake]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert shown.returncode == 1
    assert shown.stderr.startswith(f"error: {mistake}: {message}")
    assert "Traceback" not in shown.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_installed_package_finds_its_configs(tmp_path: Path) -> None:
    """The wheel holds conf/, and uses it where there is no clone around."""
    project = CONFIG_DIR.parent
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=project)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from imtext.config import paths"
    program += "; print(paths.CONFIG_DIR)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    installed = Path(shown.stdout.strip())
    assert installed == tmp_path / "site" / "imtext" / "conf"
    files = {str(path.relative_to(installed)) for path in installed.rglob("*.yaml")}
    assert files == {str(path.relative_to(CONFIG_DIR)) for path in CONFIG_DIR.rglob("*.yaml")}
