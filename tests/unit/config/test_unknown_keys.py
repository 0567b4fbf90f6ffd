"""A misspelt key is answered by the nearest one, not by Hydra's advice to append it."""

from smoothbench.config.unknown_keys import reworded

HYDRA = "Could not override '{0}'. To append to your config use +{0}=2"


def test_the_nearest_key_is_named() -> None:
    text = reworded(HYDRA.format("num_sample"))
    assert text.startswith("num_sample: no such key: did you mean num_samples? ") and "--cfg job" in text
    assert reworded(HYDRA.format("modle")).startswith("modle: no such key: did you mean model?")


def test_a_key_that_can_be_appended_keeps_the_advice() -> None:
    assert reworded(HYDRA.format("reference.solver.steps")) == HYDRA.format("reference.solver.steps")
    text = reworded(HYDRA.format("cache.policy.alhpa"))
    assert text.startswith("cache.policy.alhpa: no such key: python") and "+cache" not in text
    assert reworded("another error") == "another error"


def test_a_choice_that_a_group_does_not_have_is_answered_by_those_that_it_has() -> None:
    listed = "In 'config': Could not find 'cache/forra'\n\nAvailable options in 'cache':\n\tfora\n\tmine\n"
    listed += "Config search path:\n\tprovider=hydra, path=pkg://hydra.conf"
    assert reworded(listed) == "cache: there is no forra, did you mean fora? there are fora, mine"
    text = reworded("In 'config': Could not load 'metrics/nothing'.\nConfig search path: x")
    assert (
        text.startswith("metrics: there is no nothing: there are adm, ")
        and "psnr" in text
        and "path" not in text
    )
    elsewhere = "Could not load 'hydra/launcher/nothing'"
    assert reworded(elsewhere) == elsewhere


def test_an_experiment_without_its_plus_is_told_so() -> None:
    assert "+exp=NAME" in reworded(HYDRA.format("exp"))
