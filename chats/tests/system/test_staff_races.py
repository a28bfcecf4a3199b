"""Staff change and delete rows while others write."""

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

from chats.tests.support.servers import PASSWORD, manage
from chats.tests.support.staff import Staff


def test_staff_delete_conversations_and_users_while_others_send(server, people):
    """From a process of their own. No request gets an error."""
    alice, bob, carol, _ = people
    ids = [alice.start(bob, carol).json()["conversation_id"] for _ in range(12)]
    silent = [server.sign_up(f"silent{n}") for n in range(6)]
    stop = Event()

    def send_to_all(person):
        seen = set()
        while not stop.is_set():
            seen |= {person.send(conversation_id, "Hello").status_code for conversation_id in ids}
        return seen

    def add_the_silent():
        seen = set()
        while not stop.is_set():
            seen |= {alice.add(ids[n % 12], person).status_code for n, person in enumerate(silent)}
            seen |= {alice.start(person).status_code for person in silent}
        return seen

    delete = f"""
from chats.models import Conversation, User
for pk in {ids[:5]}:
    Conversation.objects.get(pk=pk).delete()
Conversation.objects.filter(pk__in={ids[5:8]}).delete()
for person in User.objects.filter(pk__in={[person.user_id for person in silent[:3]]}):
    person.delete()
User.objects.filter(pk__in={[person.user_id for person in silent[3:]]}).delete()
"""
    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(send_to_all, person) for person in (alice, bob, carol)]
        writing.append(pool.submit(add_the_silent))
        try:
            manage("shell", "-v0", "-c", delete, DATABASE_URL=server.database.url)
        finally:
            stop.set()
    assert set().union(*(writer.result() for writer in writing[:3])) <= {201, 404}
    assert writing[3].result() <= {200, 201, 400, 404}
    left = {row["conversation_id"] for row in alice.everything("/conversations/", page_size=100)}
    assert left & set(ids) == set(ids[8:])


class TestAllWritesAtOnce:
    """In two conversations. Each method goes on until `done`, or does its part once."""

    def send(self, done, person, ids):
        sent = {}
        while not done.is_set():
            body = f"{person.email} {len(sent)}"
            response = person.send(ids[len(sent) % 2], body)
            assert response.status_code == 201, response.text
            sent[response.json()["message_id"]] = body
        return sent

    def follow(self, done, person, ids):
        clocks = dict.fromkeys(ids, "")
        while not done.is_set():
            for pk in ids:
                clock = person.get(f"/conversations/{pk}/")["updated_at"]
                assert clock >= clocks[pk]
                clocks[pk] = clock

    def come_and_go(self, done, by, goers, ids):
        while not done.is_set():
            for pk in ids:
                for person in goers:
                    assert by.add(pk, person).status_code == 200
                    # The staff's form, opened before they came, may have taken them out.
                    assert person.leave(pk).status_code in {204, 404}

    def seat(self, done, staff, people, comers, ids):
        while not done.is_set():
            for pk in ids:
                for seated in (people + comers, people):
                    users = [person.user_id for person in seated]
                    staff.post(f"chats/conversation/{pk}/change/", participants=users)

    def delete_messages(self, staff, message_ids):
        for n in range(0, len(message_ids), 2):
            form = {"action": "delete_selected", "_selected_action": message_ids[n : n + 2]}
            staff.post("chats/message/", **form, post="yes")

    def delete_people(self, server, deleted, erased):
        first, *others = (person.user_id for person in deleted)
        code = f"""
from chats.models import User
User.objects.get(pk={first!r}).delete()
User.objects.filter(pk__in={others}).delete()
"""
        manage("shell", "-v0", "-c", code, DATABASE_URL=server.database.url)
        for person in erased:
            body = {"current_password": PASSWORD}
            assert person.call("DELETE", "/users/me/", json=body).status_code == 204

    def test_cause_no_error_and_lose_nothing(self, server, people):
        """No deadlock, no lost send, no clock that goes back."""
        alice, bob, carol, dora = people
        ids = [alice.start(bob, carol, dora).json()["conversation_id"] for _ in range(2)]
        old = [alice.send(ids[n % 2], "Old").json()["message_id"] for n in range(120)]
        silent = [server.sign_up(f"silent{n}") for n in range(12)]
        goers, comers, deleted, erased = silent[:3], silent[3:6], silent[6:9], silent[9:]
        for person in deleted + erased:
            assert [alice.add(pk, person).status_code for pk in ids] == [200, 200]
        staff, *deleting = [Staff(server) for _ in range(4)]
        begin = len(server.error_log.read_text())
        done = Event()
        with ThreadPoolExecutor(10) as pool:
            senders = [pool.submit(self.send, done, sender, ids) for sender in (alice, bob, carol)]
            others = [
                pool.submit(self.follow, done, dora, ids),
                pool.submit(self.come_and_go, done, dora, goers, ids),
                pool.submit(self.seat, done, staff, people, comers, ids),
            ]
            ending = [
                pool.submit(self.delete_messages, member, old[40 * n : 40 * n + 40])
                for n, member in enumerate(deleting)
            ]
            ending.append(pool.submit(self.delete_people, server, deleted, erased))
            wait(ending)
            done.set()
        for call in others + ending:
            call.result()
        expected = dict(item for sender in senders for item in sender.result().items())
        expected |= dict.fromkeys(old)
        rows = [row for pk in ids for row in alice.everything(f"/conversations/{pk}/messages/")]
        assert len(rows) == len(expected) > len(old) + 20
        assert {row["message_id"]: row["message_body"] for row in rows} == expected
        assert server.error_log.read_text()[begin:] == ""
