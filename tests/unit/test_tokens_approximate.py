"""Estimates for families without a public vocabulary: runs by what they are, integer factors, a range."""

from __future__ import annotations

import tomllib
from pathlib import Path
from statistics import median

import pytest

from tokencalc.tokens.approximate import count_approximate
from tokencalc.tokens.backends import bundled
from tokencalc.tokens.backends.families import OWN
from tokencalc.tokens.backends.installed import backends
from tokencalc.tokens.exact import count_exact
from tokencalc.tokens.factors import FAMILIES, KINDS, UNKNOWN
from tokencalc.tokens.runs import runs

needs_splintr = pytest.mark.skipif(
    not any(backend.version for backend in backends() if backend.name == "splintr-rs"),
    reason="the extra exact is not installed: splintr-rs",
)
CHINESE = "每个团队都想知道,他们的语言模型在一个月里到底花了多少钱。"
CODE = "def total(lines):\n    return sum(line.amount for line in lines)\n"
ENGLISH = "What was left of the budget at the end of the month surprised the whole team.\n"

KIND_ROWS = [
    ("prose", ENGLISH),
    ("latin", "Am Ende des Monats wundert sich das Team über die Rechnung.\n"),
    ("markdown", "- the first thing to do\n- the second thing to do\n"),
    ("code", CODE),
    ("json", '{"model": "gpt-4o", "tokens": 12}\n'),
    ("zh", CHINESE),
    ("ja", "毎月の終わりに請求書を見て驚きます"),
    ("ko", "매달 말이 되면 청구서를 봅니다"),
    ("ru", "Стоимость видна до вызова"),
    ("ar", "التكلفة واضحة قبل الاستدعاء"),
    ("hi", "खर्च कॉल से पहले दिखता है"),
    ("th", "ค่าใช้จ่ายมองเห็นได้ก่อน"),
    ("he", "בסוף כל חודש"),
    ("vi", "Hóa đơn tháng trước cao hơn mọi người dự đoán"),
    ("el", "Κάθε μήνα βλέπουμε τον λογαριασμό"),
    ("ta", "கடந்த மாத கட்டணம் எதிர்பார்த்ததை விட"),
    ("other", "ଗତ ମାସର ବିଲ୍"),
    ("emoji", "😀😂🤣 🎉"),
    ("joined", "👩‍🔬👨‍🍳"),
    ("latin", "Vat het volgende verslag samen in vijf zinnen."),
]


@pytest.mark.parametrize(("kind", "text"), KIND_ROWS, ids=[kind for kind, _ in KIND_ROWS])
def test_text_of_one_kind_is_one_run_of_it(kind: str, text: str) -> None:
    assert [(kind, text)] == [tuple(run) for run in runs(text)]


def test_a_chinese_paragraph_inside_english_code_is_counted_as_what_it_is() -> None:
    text = f"{CODE}{CHINESE}\n{CODE}"
    assert [kind for kind, _ in runs(text)] == ["code", "zh", "prose", "code"]
    alone = [count_approximate(part, "claude").tokens for part in (CODE, CHINESE, CODE)]
    assert count_approximate(text, "claude").tokens == pytest.approx(sum(alone), abs=3)


def test_every_family_has_a_factor_for_every_kind() -> None:
    for family in (*FAMILIES.values(), UNKNOWN):
        assert set(family.thousandths) == set(KINDS)
        assert all(250 < factor < 5000 for factor in family.thousandths.values())


@pytest.mark.parametrize(
    ("expected", "family", "text"),
    [
        (0, "claude", ""),
        (
            19,
            "claude",
            "one two three four five six seven eight nine ten eleven twelve one two three four x",
        ),
        (12, "gemini", "123456789012"),
        (12, "mistral", "123456789012"),
        (1, "gemini", " "),
    ],
)
def test_estimates_are_whole_and_the_same_on_every_machine(expected: int, family: str, text: str) -> None:
    assert expected == count_approximate(text, family).tokens


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_range_grows_with_the_text_and_holds_the_count(family: str) -> None:
    widths = []
    for times in (1, 10, 100):
        counted = count_approximate(ENGLISH * times, family)
        assert 0 < counted.low < counted.tokens < counted.high
        widths.append(counted.high - counted.low)
    assert widths == sorted(widths)


SAMPLES = tomllib.loads((Path(__file__).parents[2] / "scripts" / "script_samples.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", sorted(SAMPLES))
def test_a_sentence_is_of_the_kind_that_it_was_fitted_for(language: str) -> None:
    told = SAMPLES[language]
    kinds = [max(runs(text), key=lambda run: len(run.text)).kind for text in (*told["fit"], *told["held"])]
    assert set(kinds) <= {told["kind"], "prose", "emoji"}
    assert kinds.count(told["kind"]) > len(kinds) // 2


@needs_splintr
@pytest.mark.extras
@pytest.mark.parametrize("family", sorted(OWN))
def test_a_sentence_that_no_factor_was_fitted_on_is_below_high_in_every_script(family: str) -> None:
    assert bundled.available(OWN[family].name)
    held = [told["held"] for told in SAMPLES.values()]
    texts = [text for several in held for text in (*several, " ".join(several), "\n".join(several * 20))]
    own = OWN[family].name
    ratios = [count_approximate(text, family).high / bundled.count_bundled(text, own).tokens for text in texts]
    assert min(ratios) > 0.95
    assert sum(ratio < 1 for ratio in ratios) <= 0.01 * len(ratios)
    assert median(ratios) < 1.6


def test_newer_claude_takes_more_tokens_for_english_and_no_more_for_chinese() -> None:
    older, newer = (count_approximate(ENGLISH * 50, name).tokens for name in ("claude", "claude_4_7"))
    assert 1.4 < newer / older < 1.5
    assert count_approximate(CHINESE, "claude") == count_approximate(CHINESE, "claude_4_7")


@pytest.mark.parametrize("family", ["llama", "qwen"])
def test_families_that_extend_cl100k_count_english_code_as_it_does(family: str) -> None:
    assert count_exact(CODE * 20, "cl100k_base").tokens == count_approximate(CODE * 20, family).tokens


def test_an_unknown_family_has_a_range_over_the_known_ones() -> None:
    unknown = count_approximate(ENGLISH * 20, "a family of tomorrow")
    for family in FAMILIES:
        assert unknown.low <= count_approximate(ENGLISH * 20, family).tokens <= unknown.high
