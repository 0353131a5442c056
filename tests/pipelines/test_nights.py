"""Nights: a pipeline run again and again as a schedule does it, each night from the champion on, with more photos."""

import json

import pytest
from support.local_run import run_pipeline, short_training

from bodyposenet.common.tracking.mlflow_store import quiet_mlflow

pytestmark = pytest.mark.heavy

NAME = "nightly"


@pytest.fixture(scope="module")
def nights(tmp_path_factory, quick_tasks):
    """Three nights, the last without a new photo: the folder that has their store, and what each did."""
    folder = tmp_path_factory.mktemp("nights")
    arguments = {f"{name}_spec": short_training(name) for name in ("train", "retrain")}
    arguments |= {"cuts": [{"pruning_threshold": 0.2}], "max_ap_drop": 1.0, "model_name": NAME}
    arguments |= {"start_weights": "auto", "only_if_new": True}
    data = ("synthetic:8,4", "synthetic:9,4,1", "synthetic:9,4,1")
    with pytest.MonkeyPatch.context() as patch:
        ran = [
            run_pipeline(folder, f"night-{number}", "prune_sweep", patch, data=each, **arguments)
            for number, each in enumerate(data, 1)
        ]
        assert [each.failure for each in ran] == ["", "", ""]
        yield folder, ran


@pytest.fixture
def client(nights):
    with quiet_mlflow():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=f"sqlite:///{nights[0] / 'mlflow.db'}")


@pytest.mark.slow
def test_the_first_night_starts_from_the_spec_s_weights_and_the_second_from_the_champion(nights, client):
    everywhere = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(everywhere, "attributes.run_name = 'train'", order_by=["attributes.start_time ASC"])
    assert [run.data.tags.get("bodyposenet.start", "") for run in runs] == ["", f"models:/{NAME}/1"]


@pytest.mark.slow
def test_both_networks_meet_on_the_photos_of_the_first_night(nights, client):
    first, second = (client.get_model_version(NAME, version).tags for version in ("1", "2"))
    assert first["hold_out"] == second["hold_out"]
    _, (one, two, _) = nights
    assert (one.folder / "challenge/kept/hold_out.zip").is_file()
    assert (two.folder / "challenge/kept/reference.txt").read_text() == first["hold_out"]
    met = [json.loads((two.folder / "challenge" / name).read_text()) for name in ("challenger_ap", "champion_new_ap")]
    assert float(second["metric.hold_out_ap"]) == pytest.approx(met[0])
    page = two.said("register", "decision").replace("\\", "")
    assert "On the dataset's own held-out photos it has" in page
    won = met[0] > float(second["metric.champion_ap"])
    champion = client.get_model_version_by_alias(NAME, "champion").version
    assert str(champion) == ("2" if won else "1"), page


@pytest.mark.slow
def test_each_version_has_a_base_network_of_its_own(nights, client):
    bases = [client.get_model_version(NAME, version).tags["base"] for version in ("1", "2")]
    assert len(set(bases)) == 2


@pytest.mark.slow
def test_a_night_without_a_new_photo_ends_early_although_the_champion_is_a_new_one(nights):
    _, (_, _, third) = nights
    assert third.tasks == {"fingerprint", "summary"}
    assert third.said("fingerprint", "reason").startswith("nothing new: run ")
