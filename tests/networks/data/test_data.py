"""Data sets: real images, split without overlap, the same every time, from files and from folders."""

import dataclasses
import functools
import gzip
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

import networks
from networks.data.images import channel_statistics
from ufm import InputError
from ufm_cli.main import main

HOUSE = Path(__file__).parents[3]


def test_digits_are_balanced_and_split_without_overlap():
    images = networks.load("digits", seed=0)
    assert images.num_classes == 10
    assert images.image_shape == (1, 8, 8)
    assert torch.bincount(images.train_labels).tolist() == [140] * 10
    assert len(images.train_labels) + len(images.test_labels) == 1797
    seen = images.normalized(images.train_images)
    assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
    assert float(seen.std()) == pytest.approx(1, abs=1e-5)


def test_all_images_are_there_once():
    from sklearn.datasets import load_digits

    images = networks.load("digits", seed=3)
    both = torch.cat([images.train_images, images.test_images]).flatten(1)
    original = torch.from_numpy(load_digits().images).to(torch.uint8).flatten(1)
    assert sorted(both.tolist()) == sorted(original.tolist())


def test_seed_chooses_the_split():
    first, again, other = (networks.load("digits", seed=s) for s in (1, 1, 2))
    assert torch.equal(first.train_images, again.train_images)
    assert not torch.equal(first.train_images, other.train_images)


def test_labels_belong_to_their_images():
    """Class means of train and test agree, class by class."""
    images = networks.load("digits")

    def means(x, y):
        return torch.stack([x[y == k].float().mean(0).flatten() for k in range(10)])

    nearest = torch.cdist(
        means(images.test_images, images.test_labels), means(images.train_images, images.train_labels)
    ).argmin(1)
    assert nearest.tolist() == list(range(10))


def test_unknown_data_set_lists_the_known():
    with pytest.raises(InputError, match="unknown data set 'mnits'; choose one of: cifar10, cifar100, digits, "):
        networks.load("mnits")


def test_images_are_standardised_channel_by_channel():
    images = torch.randint(0, 256, (50, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 1] //= 4
    images[:, 2] = 7
    mean, std = channel_statistics(images)
    torch.testing.assert_close(mean.flatten(), images.float().mean((0, 2, 3)))
    torch.testing.assert_close(std[:2, 0, 0], images.float().std((0, 2, 3))[:2])
    assert float(std[2]) == 1


def test_a_smaller_image():
    images = networks.load(networks.DataRecipe(image_size=4))
    assert images.image_shape == (1, 4, 4)
    assert images.test_images.shape[1:] == (1, 4, 4)


@pytest.fixture(scope="module")
def mnist_folder():
    folder = HOUSE.parent / "shared" / "data"
    if not (folder / "MNIST" / "raw" / "train-images-idx3-ubyte").is_file():
        pytest.skip(f"no MNIST in {folder}")
    return str(folder)


def test_mnist_from_its_files(mnist_folder, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.MNIST.download", lambda self: pytest.fail("asked the network"))
    images = networks.load(networks.DataRecipe("mnist", mnist_folder))
    assert images.image_shape == (1, 28, 28)
    assert torch.bincount(images.train_labels)[:3].tolist() == [5923, 6742, 5958]
    assert len(images.test_labels) == 10_000
    assert float(images.mean) / 255 == pytest.approx(0.1307, abs=1e-4)
    assert float(images.std) / 255 == pytest.approx(0.3081, abs=1e-4)


def test_mnist_as_the_paper_has_it(mnist_folder):
    """The route of arXiv 2105.02375's code: PIL to colour, to 32 x 32."""
    from torchvision import datasets, transforms

    recipe = networks.DataRecipe("mnist32", mnist_folder, per_class=3)
    images = networks.load(recipe)
    assert images.train_images.shape == (30, 3, 32, 32)
    theirs = transforms.Compose([transforms.Grayscale(3), transforms.Resize(32), transforms.PILToTensor()])
    test = datasets.MNIST(mnist_folder, train=False, transform=theirs)
    for i in range(20):
        gap = images.test_images[i].int() - test[i][0].int()
        assert gap.abs().max() <= 1
        assert images.test_labels[i] == test[i][1]


def test_coloured_bytes_are_read_channels_first(tmp_path, monkeypatch):
    """A stand-in of torchvision's class: its files cannot be made here without their published md5."""

    class Cifar:
        classes = ("a", "b", "c")

        def __init__(self, root, train, download):
            self.data = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) + (0 if train else 100)
            self.targets = [2, 0]

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Cifar)
    images = networks.load(networks.DataRecipe("cifar10", str(tmp_path)))
    assert (images.image_shape, images.num_classes) == ((3, 4, 5), 3)
    assert images.train_images[1, 2, 3, 4] == 60 + 3 * (5 * 3 + 4) + 2
    assert images.test_images[0, 1, 2, 3] == 100 + 3 * (5 * 2 + 3) + 1
    assert images.train_labels.tolist() == [2, 0]


def test_what_cannot_be_downloaded_says_where_to_put_it(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.MNIST.download", refuse)
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", refuse)
    for name, inside in (
        ("mnist", "MNIST/raw"),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("cifar100", "cifar-100-python"),
    ):
        with pytest.raises(InputError, match=rf"{tmp_path}/{inside} and cannot be downloaded \(no network\)"):
            networks.load(networks.DataRecipe(name, str(tmp_path)))


TINY = {"width": 4, "depth": 0, "epochs": 1, "device": "cpu"}


def write_folder(path, size=(6, 5), classes=("cat", "dog"), count=3):
    """PNGs whose red channel is the class and whose green is the number of the image."""
    from PIL import Image

    for part in ("train", "test"):
        for k, name in enumerate(classes):
            (path / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", size, (k, i, 9)).save(path / part / name / f"{i}.png")
    return networks.DataRecipe("folder", str(path))


def test_a_folder_of_images(tmp_path):
    seen = []
    images = networks.load(write_folder(tmp_path), track=lambda items: seen.extend(items) or items)
    assert images.train_images.shape == (6, 3, 5, 6)
    assert images.num_classes == 2
    assert torch.equal(images.train_images[:, 0, 0, 0].long(), images.train_labels)
    assert images.test_images[:, 1, 0, 0].tolist() == [0, 1, 2, 0, 1, 2]
    assert seen == [*range(6)] * 2


def test_files_that_are_not_asked_for_are_not_read(tmp_path):
    recipe = dataclasses.replace(write_folder(tmp_path), per_class=1, test_per_class=2)
    whole = networks.load(dataclasses.replace(recipe, per_class=None, test_per_class=None))
    seen = []
    images = networks.load(recipe, track=lambda items: seen.append(len(items)) or items)
    assert seen == [2, 4]
    assert images.train_labels.tolist() == [0, 1]
    assert images.test_labels.tolist() == [0, 0, 1, 1]
    for part in (images.train_images, images.test_images):
        assert all((image == whole.train_images).flatten(1).all(1).any() for image in part)


def test_images_of_different_sizes_need_one_size(tmp_path):
    from PIL import Image

    recipe = write_folder(tmp_path)
    Image.new("RGB", (9, 7)).save(tmp_path / "train" / "dog" / "large.png")
    with pytest.raises(InputError, match=r"large.png is 7 x 9, images before it are 5 x 6; .*image_size"):
        networks.load(recipe)
    images = networks.load(dataclasses.replace(recipe, image_size=4))
    assert images.train_images.shape == (7, 3, 4, 4)


def test_folders_that_hold_no_data_set_are_refused(tmp_path):
    recipe = networks.DataRecipe("folder", str(tmp_path))
    with pytest.raises(InputError, match=r"no images in .*train .*DATA_DIR/train/CLASS/FILE"):
        networks.load(recipe)
    write_folder(tmp_path)
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "fish")
    with pytest.raises(InputError, match="hold different classes"):
        networks.load(recipe)
    (tmp_path / "test" / "fish").rename(tmp_path / "test" / "dog")
    (tmp_path / "train" / "cat" / "0.png").write_text("not an image")
    with pytest.raises(InputError, match=r"0\.png cannot be read as an image"):
        networks.load(recipe)


BROKEN = {
    "cut.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\x08IHDR\x00\x00\x00\x09\x00\x00\x00\x09\x08\x03\x00\x00",
    "bomb.bmp": b"BM"
    + bytes(8)
    + b"\x36\x04\x00\x00\x28\x00\x00\x00\x09\x00\xfc\x00\x09\x00\xfc\x00\x01\x00\x18"
    + bytes(30),
    "size.ppm": b"P6\n9 m\n255\n" + bytes(99),
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_images_are_refused_however_pillow_says_so(name, tmp_path):
    """Not every decoder says OSError."""
    recipe = write_folder(tmp_path)
    (tmp_path / "train" / "dog" / name).write_bytes(BROKEN[name])
    with pytest.raises(InputError, match=rf"{name} cannot be read as an image \(.+\); mend or remove it"):
        networks.load(recipe)


def test_grey_and_transparent_images_become_colour_and_sixteen_bits_are_refused(tmp_path):
    """Levels above 255 would all become 255."""
    from PIL import Image

    recipe = write_folder(tmp_path)
    Image.new("L", (6, 5), 77).save(tmp_path / "train" / "dog" / "grey.png")
    Image.new("RGBA", (6, 5), (7, 8, 9, 128)).save(tmp_path / "train" / "dog" / "transparent.png")
    images = networks.load(recipe)
    assert images.train_images[-2:, :, 0, 0].tolist() == [[77, 77, 77], [7, 8, 9]]
    Image.fromarray(np.full((5, 6), 1000, dtype=np.uint16)).save(tmp_path / "train" / "dog" / "deep.png")
    with pytest.raises(InputError, match=r"deep.png has more than 8 bits a level \(mode I;16\); convert it to 8"):
        networks.load(recipe)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_one_class_is_no_classifier(noise, tmp_path):
    recipe = dataclasses.replace(write_folder(tmp_path, classes=("cat",)), label_noise=noise)
    with pytest.raises(InputError, match=rf"at least 2 classes, {tmp_path} holds 1"):
        networks.load(recipe)


def idx(array):
    """The bytes of an idx file (the format of MNIST): a magic number, big-endian sizes, the values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def mnist_server(tmp_path, monkeypatch):
    """(a folder, served where torchvision looks for MNIST; the labels of its 6 + 4 images; the files asked for)."""
    from torchvision.datasets import MNIST

    served, asked = tmp_path / "served", []
    served.mkdir()
    draws = np.random.default_rng(0)
    labels = {"train": np.array([3, 1, 9, 0, 3, 1], dtype=np.uint8), "t10k": np.array([2, 2, 5, 9], dtype=np.uint8)}
    files = {}
    for part, answers in labels.items():
        images = draws.integers(0, 256, (len(answers), 28, 28), dtype=np.uint8)
        images[:, 0, 0] = answers
        files |= {f"{part}-images-idx3-ubyte.gz": images, f"{part}-labels-idx1-ubyte.gz": answers}
    for name, array in files.items():
        (served / name).write_bytes(gzip.compress(idx(array)))

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=served))
    sums = [(name, hashlib.md5((served / name).read_bytes()).hexdigest()) for name in files]
    monkeypatch.setattr(MNIST, "resources", sums)
    monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served, labels, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_is_missing_is_downloaded_once(mnist_server, tmp_path):
    _, labels, asked = mnist_server
    recipe = networks.DataRecipe("mnist", str(tmp_path / "data"))
    images = networks.load(recipe)
    assert images.train_labels.tolist() == labels["train"].tolist()
    assert images.test_labels.tolist() == labels["t10k"].tolist()
    assert images.train_images[:, 0, 0, 0].tolist() == labels["train"].tolist()
    assert images.test_images.shape == (4, 1, 28, 28)
    assert len(set(asked)) == 4
    before = list(asked)
    again = networks.load(recipe)
    assert again.train_images.equal(images.train_images)
    assert asked == before


def test_a_download_that_is_not_what_was_published_is_refused(mnist_server, tmp_path):
    served, _, _ = mnist_server
    (served / "train-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"MNIST is not whole in .*MNIST/raw and cannot be downloaded"):
        networks.load(networks.DataRecipe("mnist", str(tmp_path / "data")))


def test_a_file_cut_short_is_refused_and_says_what_to_remove(mnist_server, tmp_path):
    """torchvision takes a file that is there for whole: a download that was killed leaves one."""
    recipe = networks.DataRecipe("mnist", str(tmp_path / "data"))
    whole = networks.load(recipe)
    file = tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"not whole in .*; remove what is damaged there, put torchvision's"):
        networks.load(recipe)
    file.unlink()
    assert networks.load(recipe).train_images.equal(whole.train_images)


def test_noise_leaves_every_class_a_sample(tmp_path):
    recipe = dataclasses.replace(write_folder(tmp_path, classes=("ant", "bee", "cat"), count=1), label_noise=0.7)
    with pytest.raises(InputError, match=r"label_noise=0.7 leaves a class with no sample; lower it"):
        networks.load(recipe)


def test_data_that_have_moved_are_found_again(tmp_path, capsys):
    recipe = write_folder(tmp_path / "there")
    run = networks.train(networks.Recipe(data="folder", data_dir=recipe.data_dir, **TINY), tmp_path / "run")
    (tmp_path / "there").rename(tmp_path / "here")
    assert main(["validate", str(run.path)]) == 2
    assert "no images in" in capsys.readouterr().err
    assert main(["validate", str(run.path), "--data-dir", str(tmp_path / "here")]) == 0
    again = networks.Recipe(data="folder", data_dir=str(tmp_path / "here"), **TINY | {"epochs": 2})
    assert len(networks.train(again, run.path, resume=True).epochs) == 2
