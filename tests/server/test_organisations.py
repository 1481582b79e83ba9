"""Organisations: roles, invitations, and what the overview shows to whom, by the stock client."""

from __future__ import annotations

import httpx
import pytest
from browser import Browser
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


def test_a_user_makes_an_organisation_and_runs_it(hub, people):
    user, name = people.user(), people.name("org")
    headers = people.bearer(user, "admin")
    made = httpx.post(f"{hub.url}/api/organizations", json={"name": name, "fullname": "The Lab"}, headers=headers)
    assert made.json() == {"name": name, "url": f"{hub.url}/{name}"}
    (org,) = people.client(user).whoami()["orgs"]
    assert (org["name"], org["fullname"], org["roleInOrg"]) == (name, "The Lab", "admin")
    seen = hub.nobody.get_organization_overview(name)
    assert (seen.name, seen.fullname, seen.num_users, seen.num_models) == (name, "The Lab", 1, 0)
    for taken in (name.upper(), user, "admin", "a/b"):
        again = httpx.post(f"{hub.url}/api/organizations", json={"name": taken}, headers=headers)
        assert again.status_code in (400, 409), taken
    described = httpx.put(f"{hub.url}/api/organizations/{name}", json={"fullname": "Other"}, headers=headers)
    assert described.status_code == 200
    assert hub.nobody.get_organization_overview(name).fullname == "Other"


def test_each_role_may_do_its_part(hub, people):
    admin, reader, contributor, writer = (people.user(role) for role in ("admin", "reader", "contributor", "writer"))
    lab = people.organisation(admin, **{reader: "read", contributor: "contributor", writer: "write"})
    people.client(admin).create_repo(f"{lab}/hidden", private=True)
    for user, may_write in ((reader, False), (contributor, False), (writer, True), (admin, True)):
        client = people.client(user)
        assert client.model_info(f"{lab}/hidden").private
        if may_write:
            client.auth_check(f"{lab}/hidden", write=True)
        else:
            with pytest.raises(HfHubHTTPError, match="403"):
                client.auth_check(f"{lab}/hidden", write=True)
        if user == reader:
            with pytest.raises(HfHubHTTPError, match="403"):
                client.create_repo(f"{lab}/{user}")
        else:
            client.create_repo(f"{lab}/{user}", private=True)
    people.client(contributor).upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=f"{lab}/{contributor}")
    people.client(contributor).delete_repo(f"{lab}/{contributor}")
    with pytest.raises(RepositoryNotFoundError):
        people.client(people.user()).model_info(f"{lab}/hidden")


def test_people_join_by_invitation(hub, people):
    admin, guest, other = people.user(), people.user(), people.user()
    lab = people.organisation(admin)
    url = f"{hub.url}/api/organizations"
    run, come, stranger = (people.bearer(user, "admin") for user in (admin, guest, other))
    refused = httpx.post(f"{url}/{lab}/invitations", json={"role": "write"}, headers=come)
    assert refused.status_code == 403
    code = httpx.post(f"{url}/{lab}/invitations", json={"role": "write", "user": guest}, headers=run).json()["code"]
    assert httpx.post(f"{url}/join", json={"code": code}, headers=stranger).status_code == 400
    assert httpx.post(f"{url}/join", json={"code": code}, headers=come).json() == {"name": lab}
    assert people.client(guest).whoami()["orgs"][0]["roleInOrg"] == "write"
    assert httpx.post(f"{url}/join", json={"code": code}, headers=come).status_code == 400
    assert httpx.post(f"{url}/{lab}/invitations", json={"role": "owner"}, headers=run).status_code == 400
    assert httpx.post(f"{url}/{lab}/invitations", json={"user": "nobody-here"}, headers=run).status_code == 404
    # The operator invites somebody who has no account yet.
    code = hub.command("invite", "--organisation", lab, "--role", "read")
    name = people.name("new")
    with Browser(hub.url) as browser:
        assert browser.submit("/signup", name=name, password="a good password", invitation=code).status_code == 303
        assert browser.get("/api/whoami-v2").json()["orgs"][0]["roleInOrg"] == "read"


def test_members_are_listed_in_pages_and_roles_shown_to_members(hub, people):
    admin = people.user()
    members = [people.user() for _ in range(5)]
    lab = people.organisation(admin, **dict.fromkeys(members, "read"))
    listed = list(people.client(admin).list_organization_members(lab))
    assert [one.username for one in listed] == [admin, *members]
    assert [one.roleInOrg for one in listed] == ["admin"] + ["read"] * 5
    assert not any(hasattr(one, "roleInOrg") for one in hub.nobody.list_organization_members(lab))
    first = httpx.get(f"{hub.url}/api/organizations/{lab}/members", params={"limit": 4})
    assert len(first.json()) == 4
    rest = httpx.get(first.links["next"]["url"])
    assert [one["user"] for one in first.json() + rest.json()] == [admin, *members]
    assert "next" not in rest.links
    assert list(hub.nobody.list_organization_followers(lab)) == []


def test_roles_change_and_the_last_admin_stays(hub, people):
    admin, member, other = people.user(), people.user(), people.user()
    lab = people.organisation(admin, **{member: "read"})
    url = f"{hub.url}/api/organizations/{lab}/members"
    run, come = people.bearer(admin, "admin"), people.bearer(member, "admin")
    assert httpx.put(f"{url}/{member}", json={"role": "admin"}, headers=come).status_code == 403
    assert httpx.put(f"{url}/{admin}", json={"role": "read"}, headers=run).status_code == 409
    assert httpx.delete(f"{url}/{admin}", headers=run).status_code == 409
    assert httpx.put(f"{url}/{other}", json={"role": "read"}, headers=run).status_code == 404
    assert httpx.put(f"{url}/{member}", json={"role": "admin"}, headers=run).status_code == 200
    assert httpx.delete(f"{url}/{admin}", headers=run).status_code == 200
    assert people.client(admin).whoami()["orgs"] == []
    assert httpx.delete(f"{url}/{member}", headers=come).status_code == 409
    assert httpx.delete(f"{url}/{other}", headers=come).status_code == 404
    people.client(member).create_repo(f"{lab}/one")
    assert httpx.delete(f"{hub.url}/api/organizations/{lab}", headers=come).status_code == 409
    people.client(member).delete_repo(f"{lab}/one")
    assert httpx.delete(f"{hub.url}/api/organizations/{lab}", headers=come).status_code == 200
    assert httpx.get(f"{hub.url}/api/organizations/{lab}/overview").status_code == 404


def test_who_leaves_sees_nothing_private_any_more(hub, people):
    admin, member = people.user(), people.user()
    lab = people.organisation(admin, **{member: "write"})
    client = people.client(member)
    client.create_repo(f"{lab}/hidden", private=True)
    assert client.repo_exists(f"{lab}/hidden")
    left = httpx.delete(f"{hub.url}/api/organizations/{lab}/members/{member}", headers=people.bearer(member, "admin"))
    assert left.status_code == 200
    assert not client.repo_exists(f"{lab}/hidden")


def test_overviews_are_as_the_client_reads_them(hub, people):
    user = people.user()
    lab = people.organisation(user)
    client = people.client(user)
    client.create_repo(f"{user}/a")
    client.create_repo(f"{user}/b", repo_type="dataset")
    seen = hub.nobody.get_user_overview(user.upper())
    assert (seen.username, seen.num_models, seen.num_datasets, seen.num_spaces, seen.num_likes) == (user, 1, 1, 0, 0)
    assert [one.name for one in seen.orgs] == [lab]
    assert "email" not in httpx.get(f"{hub.url}/api/users/{user}/overview").text
    picture = httpx.get(seen.avatar_url)
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert list(hub.nobody.list_user_followers(user)) == []
    assert list(hub.nobody.list_user_following(user)) == []
    for path in (f"organizations/{user}/overview", f"users/{lab}/overview", "users/nobody-here/followers"):
        assert httpx.get(f"{hub.url}/api/{path}").status_code == 404


def test_what_is_stored_is_listed_for_its_owners(hub, people):
    user = people.user()
    lab = people.organisation(user)
    client = people.client(user)
    for owner in (user, lab):
        client.create_repo(f"{owner}/small", private=True)
        client.create_repo(f"{owner}/large")
        client.upload_file(path_or_fileobj=b"x" * 300, path_in_repo="a.txt", repo_id=f"{owner}/small")
        client.upload_file(path_or_fileobj=b"x" * 900, path_in_repo="a.txt", repo_id=f"{owner}/large")
    for namespace in (None, lab):
        small, large = client.list_user_repos(namespace)
        assert (small.visibility, large.visibility) == ("private", "public")
        assert small.storage >= 300
        assert large.storage >= 900
        assert small.storage_percent + large.storage_percent == pytest.approx(1)
    with pytest.raises(HfHubHTTPError, match="403"):
        list(people.client(people.user()).list_user_repos(lab))
