"""`samovar upload ID PATH [PATH_IN_REPO]`: a file or a folder to a repository, which is made if it is not there."""

from __future__ import annotations

import argparse
from pathlib import Path

from samovar.cli.endpoint import add_endpoint, add_type, client
from samovar.errors import InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Upload a file or a folder to a repository, which is made if it is not there."
    parser.epilog = """\
examples:
  samovar upload me/reviews ./reviews --private
  samovar upload me/reviews notes.md README.md --message "Say what it is for"
  samovar upload team/model ./model --create-pr

Files that the repository has already are not sent again.
"""
    parser.add_argument("id", help="'owner/name', or 'name' for one of your own")
    parser.add_argument("path", type=Path, help="a file or a folder")
    parser.add_argument("path_in_repo", nargs="?", help="where it goes (a file's name; of a folder, the root)")
    add_type(parser)
    parser.add_argument("--private", action="store_true", help="if the repository is made, only you may see it")
    parser.add_argument("--message", "-m", help="first line of the commit")
    parser.add_argument("--revision", help="the branch that it goes to, made if it is not there")
    parser.add_argument("--create-pr", action="store_true", help="propose the commit instead")
    parser.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only files like '*.json'")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no files like '*.bin'")
    add_endpoint(parser)


def run(options: argparse.Namespace) -> int:
    """Upload, and print the commit's address."""
    path = options.path.expanduser()
    if not path.exists():
        raise InputError(f"There is no {path}.", "Check the path.")
    api = client(options)
    from samovar.hub.publish import Destination, checked, made
    from samovar.hub.refusals import refusals

    destination = Destination(
        options.id, options.message, None, options.private or None, options.token, options.revision, options.create_pr
    )
    checked(destination)
    common = {
        "repo_type": options.type, "revision": options.revision, "create_pr": options.create_pr,
        "commit_message": options.message,
    }  # fmt: skip
    with refusals("Uploading to", options.id, options.token):
        name = made(api, destination, options.type)
        if path.is_dir():
            commit = api.upload_folder(
                repo_id=name, folder_path=path, path_in_repo=options.path_in_repo,
                allow_patterns=options.include or None, ignore_patterns=options.exclude or None, **common,
            )  # fmt: skip
        else:
            inside = options.path_in_repo or path.name
            commit = api.upload_file(path_or_fileobj=path, path_in_repo=inside, repo_id=name, **common)
    print(commit.pr_url or commit.commit_url)
    return 0
