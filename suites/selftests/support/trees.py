"""Tree fleets of the self-tests' own: endpoints that are directories below a temporary folder."""

from pathlib import Path

from redrill.lab.trees import bring_up_tree, trees_of
from redrill.loader import load_fleet

TREE_FLEET = Path(__file__).parents[3] / "fixtures/fleets/tree.yml"


def tree_fleet(folder: Path) -> Path:
    """Write the sample fleet of directories so that everything of it stands in ``folder``, and bring it up."""
    images = TREE_FLEET.parents[1] / "images"
    text = TREE_FLEET.read_text().replace("../../.lab/tree", str(folder / "lab")).replace("../images", str(images))
    file = folder / "tree.yml"
    file.write_text(f"{text}\nlocks: {{kind: flock, folder: {folder / 'locks'}}}\n")
    fleet = load_fleet(file)
    for endpoint in trees_of(fleet):
        bring_up_tree(fleet, endpoint, lambda _line: None)
    return file


def root_of(folder: Path, endpoint: str) -> Path:
    """Return the directory that an endpoint of ``tree_fleet`` is."""
    return folder / "lab" / endpoint / "root"
