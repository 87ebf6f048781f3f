"""Words and lines: the rules are those of DAGMan's DagLexer."""

import pytest

from htcondor_operator.dagman.errors import DagSyntaxError, Refused
from htcondor_operator.dagman.lexer import Lexer, Lines, is_keyword, whole_number


def words(text, **kwargs):
    lexer = Lexer(text)
    found = []
    while word := lexer.word(**kwargs):
        found.append(word)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \t\r ", []),
        ("JOB A\ta.sub", ["JOB", "A", "a.sub"]),
        ('"a b" c', ['"a b"', "c"]),
        ("pre'a b'post", ["pre'a b'post"]),
        (r'"a\"b"', ['"a"b"']),
        (r"a\b", [r"a\b"]),  # a backslash is one, outside quotes
        ("'it\"s'", ["'it\"s'"]),
        ("a\vb", ["a\vb"]),  # only blank, tab and carriage return divide words
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [('"a b" c', ["a b", "c"]), ('"" x', ["x"]), ("a'b c'd", ["ab cd"])]
)
def test_words_without_quotes(text, expected):
    assert words(text, unquote=True) == expected


@pytest.mark.parametrize("text", ['"a', "it's", '"a\\"'])
def test_unclosed_quote(text):
    with pytest.raises(Refused, match="not closed"):
        words(text)


def test_peek_leaves_the_word():
    lexer = Lexer("a b")
    assert (lexer.peek(), lexer.word(), lexer.peek(), lexer.rest()) == ("a", "a", "b", "b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a="1"', ("a", "1")),
        ("a = 1 b=2", ("a", "1")),
        ("+a='x y'", ("+a", "x y")),
        ('a=""', ("a", "")),
        (r"a='12\'34'", ("a", "12'34")),
        ("a=$(b)=c", ("a", "$(b)=c")),
        ("", None),
    ],
)
def test_pairs(text, expected):
    assert Lexer(text).pair() == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a", "no '='"),
        ("a b", "'=' is missing"),
        ("a =", "no value"),
        ("=1", "missing before"),
        ("a == 1", "two '='"),
        ("a = = 1", "two '='"),
        ("a'b=1", "quotation mark"),
    ],
)
def test_bad_pairs(text, reason):
    with pytest.raises(Refused, match=reason):
        Lexer(text).pair()


@pytest.mark.parametrize(
    ("word", "number"),
    [
        *[("3", 3), ("-3", -3), ("+3", 3), ("3x", 3), ("x3", None), ("", None), ("007", 7)],
        *[("2147483647", 2147483647), ("2147483648", None), ("9" * 5000, None), ("٣", None)],
    ],
)
def test_numbers_are_read_as_stoi_does(word, number):
    assert whole_number(word) == number


def test_keywords_compare_without_case_and_dash():
    assert is_keyword("unless-EXIT", "UNLESS_EXIT")
    assert not is_keyword("unlessexit", "UNLESS_EXIT")


def test_continuation_skips_comments_and_empty_lines():
    text = "# c\nDONE \\\n\n  # inside\n// too\n \\\n B\nDONE C\r\n"
    lines = [(line.number, line.text.split()) for line in Lines(text, "f")]
    assert lines == [(2, ["DONE", "B"]), (8, ["DONE", "C"])]


def test_a_file_that_ends_continued():
    with pytest.raises(DagSyntaxError, match=r"f:2: .*continued") as caught:
        list(Lines("A\nB \\\n", "f"))
    assert (caught.value.file, caught.value.line) == ("f", 2)


def test_nul_byte():
    with pytest.raises(DagSyntaxError, match=r"f:1: .*NUL"):
        list(Lines("JOB \0", "f"))


def test_body():
    lines = Lines("{ first\n  a = 1  \n\n# no\n} x\nnext", "f")
    assert next(iter(lines)).text == "{ first"
    assert lines.body("}") == ("a = 1\n", " x")
    assert [line.number for line in lines] == [6]
