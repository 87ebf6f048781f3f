"""Every command, written badly: the error names file, line, reason and fix."""

import pytest

from htcondor_operator.dagman.parser import DagSyntaxError, parse_dag, read_dag
from htcondor_operator.vocabulary import ErrorKind

# What HTCondor's own unit test of its parser calls failures, and more.
SYNTAX = """
JOB|name is missing
JOB A|submit description is missing
JOB A ""|submit description is missing
JOB ALL_NODES x|reserved
JOB Parent x|reserved
JOB CHILD x|reserved
SERVICE FOO+BAR x|'+'
FINAL A|submit description is missing
PROVISIONER A foo.sub DIR|after DIR
JOB A foo.sub garbage|unexpected 'garbage'
JOB A {|not closed
JOB A @=|closing word
JOB A 'x|not closed
JOB C x.dag.condor.sub|SUBDAG EXTERNAL C x.dag
SUBDAG|EXTERNAL
SUBDAG A x.dag|EXTERNAL
SUBDAG EXTERNAL A|DAG file is missing
SUBDAG EXTERNAL A foo.sub NOOP DONE DIR subdir garbage|unexpected 'garbage'
SPLICE|name is missing
SPLICE name|DAG file is missing
SPLICE name splice.dag DIR|after DIR
SPLICE name splice.dag garbage|unexpected 'garbage'
SPLICE name splice.dag DIR subdir garbage|unexpected 'garbage'
PARENT|no parent
PARENT CHILD A B C|no parent
PARENT A B C|CHILD is missing
PARENT A CHILD|no child
WEAK|PARENT is missing
WEAK CHILD A|PARENT is missing
WEAK PARENT CHILD A|no parent
SCRIPT|PRE, POST or HOLD
SCRIPT DEFER|status after DEFER is missing
SCRIPT DEFER foo|status after DEFER 'foo'
SCRIPT DEFER 1|time after DEFER is missing
SCRIPT DEFER 1 foo|time after DEFER 'foo'
SCRIPT DEBUG|file after DEBUG
SCRIPT DEBUG script.out|STDOUT
SCRIPT DEBUG script.out UNKNOWN|UNKNOWN
SCRIPT PRE|node's name
SCRIPT PRE A|script is missing
SCRIPT MIDDLE A x|before 'MIDDLE'
RETRY|node's name
RETRY A|retries is missing
RETRY A foo|'foo'
RETRY A -1|'-1'
RETRY A 99999999999|99999999999
RETRY A 1 garbage|garbage
RETRY A 1 UNLESS-EXIT|missing
RETRY A 1 UNLESS-EXIT foo|foo
RETRY A 1 UNLESS-EXIT 1 garbage|garbage
ABORT_DAG_ON|name
ABORT_DAG_ON A|exit code is missing
ABORT_DAG_ON A foo|foo
ABORT_DAG_ON A 1 garbage|garbage
ABORT_DAG_ON A 1 RETURN|missing
ABORT_DAG_ON A 1 RETURN 256|from 0 to 255
ABORT_DAG_ON A 1 RETURN 1 garbage|garbage
VARS|name
VARS A no-pair|no '='
VARS A +='testing 123'|letter
VARS A QUEUE_invalid=1|queue
VARS A|no variable
VARS A foo'bar = 3|quotation
VARS A = 10|missing before
VARS A foo = = 4|two
VARS A foo bar|'=' is missing
VARS A foo = bar = baz|missing before
VARS A foo="bar|not closed
PRIORITY|name
PRIORITY A|missing
PRIORITY A foo|foo
PRIORITY A 1 garbage|garbage
PRE_SKIP|name
PRE_SKIP A|missing
PRE_SKIP A foo|foo
PRE_SKIP A 256|from 0 to 255
PRE_SKIP A 1 garbage|garbage
TOLERANCE|name
TOLERANCE A|missing
TOLERANCE A foo|foo
TOLERANCE A 5 garbage|garbage
TOLERANCE A %|%
TOLERANCE A 5 WAIT garbage|garbage
TOLERANCE A -1|-1
TOLERANCE A 5 % garbage|garbage
SAVE_POINT_FILE|name
SAVE_POINT_FILE ALL_NODES|ALL_NODES
SAVE_POINT_FILE A file garbage|garbage
CATEGORY|name
CATEGORY A|category is missing
CATEGORY A FOO garbage|garbage
MAXJOBS|category
MAXJOBS FOO|limit
MAXJOBS FOO foo|foo
MAXJOBS FOO -1|-1
MAXJOBS FOO 1 garbage|garbage
CONFIG|file
CONFIG file garbage|garbage
DOT|file
DOT file garbage|garbage
DOT file INCLUDE|header
NODE_STATUS_FILE|file
NODE_STATUS_FILE file garbage|garbage
ENV|SET or GET
ENV garbage|garbage
ENV SET|no variable
ENV GET    |no variable
DONE|name
DONE A garbage|garbage
INCLUDE|file
INCLUDE file garbage|garbage
JOBSTATE_LOG|file
JOBSTATE_LOG file garbage|garbage
SET_JOB_ATTR|attribute
SET_JOB_ATTR foo|attribute
REJECT garbage|garbage
DNE blah blah|'DNE' is not a DAGMan command
SUBMIT_DESCRIPTION|name
SUBMIT_DESCRIPTION foo|missing
SUBMIT_DESCRIPTION foo non-inline-tag|missing
SUBMIT_DESCRIPTION foo @=end|@end
CONNECT|parent splice
CONNECT s1|child splice
CONNECT s1 s2 garbage|garbage
PIN_IN|name
PIN_OUT A|number
PIN_IN A foo|foo
PIN_IN A 0|'0'
PIN_OUT A 1 garbage|garbage
"""

# Well written, but not about what the DAG has.
MEANING = """
JOB A other.sub|already a node 'A' (x.dag:2)
SPLICE A other.dag|already a node 'A'
PARENT A CHILD b|did you mean 'B'
PARENT X CHILD A|no node 'X'
PARENT A CHILD F|FINAL node F
PARENT S CHILD A|SERVICE node S
PARENT P CHILD A|PROVISIONER node P
RETRY X 1|no node 'X'
RETRY F 1|FINAL node 'F' cannot have RETRY
RETRY S 1|SERVICE node 'S' cannot have RETRY
PRIORITY F 1|cannot have PRIORITY
CATEGORY P x|cannot have CATEGORY
ABORT-DAG-ON F 1|cannot have ABORT-DAG-ON
SAVE_POINT_FILE F|cannot have SAVE_POINT_FILE
DONE F|cannot have DONE
DONE S|cannot have DONE
DONE ALL_NODES|no node 'ALL_NODES'
DONE X|no node 'X'
VARS X a=1|no node 'X'
SCRIPT PRE X x|no node 'X'
PIN_IN X 1|no node 'X'
FINAL G g|already has 'F'
PROVISIONER Q q|already has 'P'
CONFIG other|already has one.conf
CONNECT A B|no splice 'A'
INCLUDE x.dag|contains itself
INCLUDE y.dag|no folder
"""

CASES = [line.rpartition("|")[::2] for line in SYNTAX.strip().splitlines()]
MEANING_CASES = [line.rpartition("|")[::2] for line in MEANING.strip().splitlines()]
BEFORE = (
    "CONFIG one.conf\nJOB A a\nJOB B b\nFINAL F f\nSERVICE S s\nPROVISIONER P p\n# nothing here\n"
)


@pytest.mark.parametrize(("line", "reason"), CASES + MEANING_CASES)
def test_error(line, reason):
    with pytest.raises(DagSyntaxError) as caught:
        parse_dag(f"{BEFORE}{line}\nPRIORITY A 1\n", file="x.dag")
    error = caught.value
    assert (error.kind, error.file, error.line) == (ErrorKind.BAD_DAG_FILE, "x.dag", 8)
    assert reason in error.reason
    assert error.message == f"x.dag:8: {error.reason}"
    assert ";" in error.reason, "it says what to do"


def test_all_nodes_of_an_empty_dag():
    with pytest.raises(DagSyntaxError, match="ALL_NODES"):
        parse_dag("VARS ALL_NODES a=1")


def test_syntax_is_checked_before_meaning():
    with pytest.raises(DagSyntaxError, match=":2: RETRY"):
        parse_dag("PARENT A CHILD B\nRETRY\n")


def test_missing_file(tmp_path):
    with pytest.raises(DagSyntaxError, match=r"none.dag:0: .*No such file"):
        read_dag(tmp_path / "none.dag")


def test_a_folder(tmp_path):
    with pytest.raises(DagSyntaxError, match=r":0: .*directory"):
        read_dag(tmp_path)
