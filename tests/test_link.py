import threading
from typing import Any

import pytest

from distal.driver.mailbox import Interrupted, LastReply, Link, Mailbox, Question
from distal.errors import OracleError
from distal.progress import Event


def linked() -> tuple[Mailbox, Link]:
    mailbox = Mailbox()
    return mailbox, Link(lambda method, *args: getattr(mailbox, method)(*args))


def answer(mailbox: Mailbox, *replies: Any) -> threading.Thread:
    def serve() -> None:
        question = mailbox.receive(5.0)
        assert isinstance(question, Question)
        for reply in replies:
            mailbox.reply(question.ticket, reply)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_events_arrive_in_order() -> None:
    mailbox, link = linked()
    link.tell(Event(1, "train", 1))
    link.tell(Event(1, "train", 2))
    assert [mailbox.receive(1.0).done, mailbox.receive(1.0).done] == [1, 2]
    assert mailbox.receive(0.0) is None


def test_a_question_yields_its_replies_until_the_last() -> None:
    mailbox, link = linked()
    thread = answer(mailbox, "one", "two", LastReply())
    assert list(link.ask("question")) == ["one", "two"]
    thread.join()


def test_an_error_in_the_last_reply_is_raised_to_the_asker_after_the_answers() -> None:
    mailbox, link = linked()
    thread = answer(mailbox, "one", LastReply(OracleError("the window was closed")))
    replies = link.ask("question")
    assert next(replies) == "one"
    with pytest.raises(OracleError, match="the window was closed"):
        next(replies)
    thread.join()


def test_a_stopped_driver_interrupts_the_next_message_and_a_waiting_question() -> None:
    mailbox, link = linked()
    mailbox.stop()
    with pytest.raises(Interrupted):
        link.tell(Event(1, "train"))
    with pytest.raises(Interrupted):
        next(link.ask("question"))


def test_a_reply_to_an_asker_that_is_gone_is_dropped() -> None:
    mailbox, _ = linked()
    mailbox.reply("no such ticket", "late")
    assert mailbox.receive(0.0) is None
