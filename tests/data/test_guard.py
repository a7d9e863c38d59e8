import time

import hypothesis
import pytest
from hypothesis import strategies as st

from keras_restpg.data import drop_near_copies, scrub
from keras_restpg.data.words import words
from keras_restpg.records import Document, Example


def example(expected, *documents, user="u"):
    return Example(
        user, "t", user, "x", expected, tuple(map(Document, documents))
    )


def kept(target, *documents):
    """The documents that stay beside a target."""
    examples, _ = drop_near_copies([example(target, *documents, "of mine")])
    return [d.text for d in examples[0].documents][:-1]


def scrubbed(text):
    return scrub([example(text)])[0].expected


def test_near_copies_of_the_target_leave_the_profile():
    text = "we show that small models learn to write as their users do"
    near = text.replace("we show", "I show").upper() + " indeed"
    found, count = drop_near_copies(
        [example(text, text, near, "another text of mine"), example("a", "a")]
    )
    assert count == 3 and len(found) == 1
    assert [d.text for d in found[0].documents] == ["another text of mine"]


@pytest.mark.parametrize(
    ("target", "document"),
    [
        ("so it goes", "and so it goes, I said to the others there"),
        ("\U0001f600\U0001f600", " \U0001f600\U0001f600\n"),
        ("...", "..."),
        ("", " "),
        ("我们证明小模型可以学会写作", "我们证明小模型可以学会写诗"),
        ("เราแสดงว่าแบบจำลองเล็ก", "เราแสดงว่าแบบจำลองใหญ่"),
        ("मैं हर दिन कविता लिखता हूँ", "मैं हर दिन कविता लिखता हूँ और"),
        ("كَتَبَ الطَّالِبُ دَرْسَهُ", "«كَتَبَ الطَّالِبُ دَرْسَهُ» ثُمَّ نَامَ"),
        ("မြန်မာစာရေးသည်", "မြန်မာစာရေးသည်။"),
        ("It’s how we write now", "It's how we write now, too"),
        ("un cafe\u0301 s'il vous plai\u0302t", "Un café s'il vous plaît"),
    ],
)
def test_copies_in_any_script_are_known(target, document):
    assert kept(target, document) == []


def test_other_texts_stay():
    assert kept("so it goes", "so it went", "") == ["so it went", ""]
    assert kept("\U0001f600", "\U0001f602", "") == ["\U0001f602", ""]
    assert kept("我们证明小模型可以", "今天的天气很好") == ["今天的天气很好"]
    # The same consonants under other vowel signs are other words.
    assert kept("कि को की का के", "कु कू कृ कै कौ") == ["कु कू कृ कै कौ"]


TEXTS = st.text(max_size=60)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(TEXTS, TEXTS, TEXTS)
def test_a_copy_never_stays(target, before, after):
    copies = [target, f"\n{target} "]
    if words(target):
        copies.append(f"{before} {target} {after}")
    assert kept(target, *copies) == []


def test_addresses_and_numbers_are_replaced():
    text = "Write to ann.b+c@mail.example.org or +44 (0)20 7946-0018, by 2020."
    (clean,) = scrub([example(text, text)])
    expected = "Write to <email> or <phone>, by 2020."
    assert clean.expected == clean.documents[0].text == expected


@pytest.mark.parametrize(
    "text",
    [
        "+44 20 7946 0018",
        "0044 20 7946 0018",
        "+442079460018",
        "+1 (555) 123 4567",
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "1-800-555-1234",
        "020 7946 0018",
        "020\u20117946\u20110018",
        "(01234) 567890",
        "01.23.45.67.89",
    ],
)
def test_phone_numbers_are_replaced(text):
    for around in ("{}", "call {}.", "({})", "tel:{}, now", "{}\n{}", "{}x89"):
        whole = around.replace("{}", text)
        assert scrubbed(whole) == around.replace("{}", "<phone>")


@pytest.mark.parametrize(
    "text",
    [
        "1993-1994",
        "2020-01-15",
        "12/25/2020",
        "01.02.2020 10:30",
        "20200115",
        "$12999.99",
        "3.14159265",
        "192.168.0.1",
        "2019 2020 2021",
        "0.85 0.90 0.95",
        "pages 1234-1250",
        "arXiv 2407.11016",
        "10.1145/3292500.3330701",
        "978-3-16-148410-0",
        "0000-0002-1825-0097",
        "150 250 350 4500",
        "1 2 3 4 5",
        "2\n3\n4\n5\n6\n7",
        "5.0 of 10 in 1999",
        "v1.2.3.4 at 10:30",
    ],
)
def test_other_numbers_stay(text):
    for around in ("{}", "see {}.", "({})", "{}, {}"):
        whole = around.replace("{}", text)
        assert scrubbed(whole) == whole


def test_ids_lose_addresses_and_stay_apart():
    document = Document("x", "<1@mail.org>")
    examples = [
        Example(f"t-{user}", "t", user, "x", "y", (document,))
        for user in ("ann@mail.org", "bob@mail.org")
    ]
    ann, bob = scrub(examples)
    assert ann.id != bob.id and ann.user != bob.user
    assert "@" not in ann.id + ann.user + ann.documents[0].id
    assert scrub([ann, bob]) == [ann, bob]


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(st.text(), st.text(st.sampled_from("a1 @.-+()\u2011\n")))
def test_scrubbing_twice_is_scrubbing_once(text, odd):
    once = scrub([example(text + odd, odd, user=odd)])
    assert scrub(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10**6,
        "a@" + "a-" * 500_000,
        "a@b." * 250_000,
        "1" * 10**6,
        "0 " * 500_000,
        "+1 (" * 250_000,
        "one word after another " * 45_000,
    ],
    ids=lambda text: text[:4],
)
def test_a_megabyte_takes_no_time(text):
    start = time.perf_counter()
    drop_near_copies(scrub([example(text, text, "another")]))
    assert time.perf_counter() - start < 5
