"""Prompts: every layout that data sets are published in, whose prompts are whose, and files that are no good."""

from pathlib import Path

import pytest

from smoothbench.models.base.prompts import Prompts
from smoothbench.protocols import BLOCK
from tests.support.latent_dits import refusal

# headers as published, each with a row of our own making
AUDIOCAPS = 'audiocap_id,youtube_id,start_time,caption\n7,abc,30,rain falls\n9,abc,30,"a dog, barking"\n'
MUSICCAPS = (
    "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id,is_balanced_subset,is_audioset_eval\n"
    "x-1,30,40,/m/1,\"['slow', 'harp']\",\"A harp.\nIt is slow.\",4,False,True\n"
    "y_2,0,10,/m/2,[],Drums only,4,False,True\n"
)
SONGS = (
    "caption_id,track_id,caption,is_valid_subset,familiarity,artist_id,album_id,path,duration\n"
    "3,11,A calm piano,True,0,1,2,11/11.mp3,60\n4,11,Piano alone,True,0,1,2,11/11.mp3,60\n"
)
VBENCH = (
    '[{"prompt_en": "a bird", "dimension": ["color"]}, {"prompt_en": "a red  bus", "dimension": ["scene"]},\n'
    ' {"prompt_en": "a bird", "dimension": ["scene"]}]'
)
WORDS = [f"prompt {number}" for number in range(25)]


def file(folder: Path, text: str, name: str = "prompts.csv") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("layout", "text", "ids", "texts"),
    [
        ("audiocaps", AUDIOCAPS, ("7", "9"), ("rain falls", "a dog, barking")),
        ("musiccaps", MUSICCAPS, ("x-1", "y_2"), ("A harp. It is slow.", "Drums only")),
        ("song_describer", SONGS, ("3", "4"), ("A calm piano", "Piano alone")),
        ("csv", "id,caption\na,one\nb,two\n", ("a", "b"), ("one", "two")),
        ("csv", "\ufeffid,caption\r\na,one\r\nb,two", ("a", "b"), ("one", "two")),
        ("lines", "one, two\n\n  three \n", ("1", "3"), ("one, two", "three")),
        ("vbench", VBENCH, ("1", "2"), ("a bird", "a red bus")),
    ],
)
def test_every_layout(
    tmp_path: Path, layout: str, text: str, ids: tuple[str, ...], texts: tuple[str, ...]
) -> None:
    prompts = Prompts(file(tmp_path, text), layout)
    assert (prompts.ids, prompts.texts) == (ids, texts)


def test_other_columns_and_a_subset(tmp_path: Path) -> None:
    text = "name,words,caption\np,rain,no\nq,hail,no\nr,snow,no\n"
    path, subset = file(tmp_path, text), file(tmp_path, "r\n\np\n", "no_singing.txt")
    assert Prompts(path, "csv", id="name", caption="words", subset=subset).texts == ("rain", "snow")
    other = file(tmp_path, "r\nzz\n", "other.txt")
    refusal(lambda: Prompts(path, "csv", id="name", subset=other), other, "zz is no id of", path)
    nothing = file(tmp_path, "\n", "nothing.txt")
    refusal(lambda: Prompts(path, "csv", id="name", subset=nothing), nothing, "no id is in it")


def test_prompts_in_turn_and_those_of_calibration_apart(tmp_path: Path) -> None:
    prompts = Prompts(file(tmp_path, "\n".join(WORDS)))
    assert prompts.count == 22, "the last tenth, rounded up, is kept"
    assert prompts.captions([0, 21, 22, BLOCK]) == [WORDS[i] for i in (0, 21, 0, BLOCK % 22)]
    calibrating = prompts.numbers(range(999 * BLOCK, 999 * BLOCK + 10)).tolist()
    assert set(calibrating) == {22, 23, 24} and max(prompts.numbers(range(100)).tolist()) == 21


def test_a_list_of_its_own_for_calibration(tmp_path: Path) -> None:
    apart = Prompts(file(tmp_path, "x\ny\n", "own.txt"))
    prompts = Prompts(file(tmp_path, "\n".join(WORDS)), calibration=apart)
    assert prompts.count == 25 and prompts.captions([24, 999 * BLOCK + 1]) == [WORDS[24], "y"]
    assert prompts.digest() != Prompts(file(tmp_path, "\n".join([*WORDS, "x", "y"]), "all.txt")).digest()
    assert Prompts(file(tmp_path, "\n".join(WORDS)), calibration=Prompts(None)).count == 22


def test_no_prompts_and_one(tmp_path: Path) -> None:
    assert Prompts(None).numbers([0, 5]).tolist() == [-1, -1]
    one = Prompts(file(tmp_path, "alone"))
    assert one.captions([4, 999 * BLOCK]) == ["alone", "alone"]


@pytest.mark.parametrize(
    ("layout", "text", "says"),
    [
        ("lines", " \n\n", "no prompt is in it"),
        ("audiocaps", "", "lacks the column audiocap_id"),
        (
            "audiocaps",
            AUDIOCAPS.replace("start_time", "start"),
            "lacks the column start_time: it must have audiocap_id",
        ),
        ("audiocaps", AUDIOCAPS.split("\n")[0], "no prompt is in it"),
        ("audiocaps", AUDIOCAPS.replace("9,", "7,"), "line 3: audiocap_id 7 is there twice"),
        ("audiocaps", AUDIOCAPS.replace("rain falls", " "), "line 2: an empty caption"),
        ("audiocaps", AUDIOCAPS.replace("\n7,", "\n,"), "line 2: an empty audiocap_id"),
        ("audiocaps", AUDIOCAPS + "8,abc", "line 4: an empty caption"),
        ("audiocaps", AUDIOCAPS + '8,abc,0,"open', "no CSV"),
        ("musiccaps", SONGS, "lacks the column ytid"),
        (
            "vbench",
            VBENCH.replace("prompt_en", "prompt"),
            "no list of VBench's: give its VBench_full_info.json",
        ),
        ("vbench", VBENCH[:-1], "no list of VBench's"),
        ("vbench", "[]", "no prompt is in it"),
        ("tsv", SONGS, "prompts.layout must be lines, vbench, audiocaps"),
    ],
)
def test_files_that_are_no_good(tmp_path: Path, layout: str, text: str, says: str) -> None:
    path = file(tmp_path, text)
    refusal(lambda: Prompts(path, layout), says, "prompts" if layout == "tsv" else path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refusal(
        lambda: Prompts(str(tmp_path / "none.txt")), tmp_path / "none.txt", "No such file", "prompts.file"
    )
    refusal(lambda: Prompts(str(tmp_path)), tmp_path, "cannot be read")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    refusal(lambda: Prompts(str(tmp_path / "latin.txt")), "latin.txt", "UTF-8")


def test_what_is_evaluated_on_does_not_calibrate(tmp_path: Path) -> None:
    main = file(tmp_path, AUDIOCAPS)
    same_id = file(tmp_path, AUDIOCAPS.splitlines()[0] + "\n7,abc,30,snow\n8,abc,30,hail\n", "id.csv")
    same_text = file(tmp_path, "fog\nrain falls\n", "text.txt")
    for numbers_file, layout, left in ((same_id, "audiocaps", "hail"), (same_text, "lines", "fog")):
        both = Prompts(main, "audiocaps", calibration=Prompts(numbers_file, layout))
        assert both.count == 2 and both.texts[2:] == (left,)
    numbers = Prompts(file(tmp_path, SONGS.replace("\n3,", "\n7,"), "songs.csv"), "song_describer")
    whole = Prompts(main, "audiocaps", calibration=numbers)
    assert whole.texts[2:] == numbers.texts, "their numbers name other things"
    refusal(
        lambda: Prompts(main, "audiocaps", calibration=Prompts(main, "audiocaps")),
        main,
        "all of its 2 prompts",
    )


def test_a_calibration_list_alone_is_refused(tmp_path: Path) -> None:
    numbers = file(tmp_path, "x\ny\n")
    refusal(lambda: Prompts(None, calibration=Prompts(numbers)), numbers, "set prompts.file")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id,caption\n1,a dog, barking\n", "line 2: has more cells than the header's 2"),
        ("id,caption,caption\n1,rain,snow\n", "has the column caption twice"),
    ],
)
def test_tables_of_another_shape(tmp_path: Path, text: str, says: str) -> None:
    path = file(tmp_path, text)
    refusal(lambda: Prompts(path, "csv"), path, says)


def test_prompts_of_the_same_text_calibrate_or_are_evaluated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prompts = Prompts(file(tmp_path, "a cat\ntwo owls\na cat\n"), "lines")
    assert prompts.captions(range(3)) == ["two owls"] * 3
    assert set(prompts.captions(range(999 * BLOCK, 999 * BLOCK + 3))) == {"a cat"}
    assert prompts.ids == ("2", "1", "3")
    same = Prompts(file(tmp_path, "a cat\n" * 12), "lines")
    assert same.count == 12 and "all 12 are the same, so what calibrates is evaluated on too" in caplog.text
