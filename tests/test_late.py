"""Libraries that another library imports are loaded when something of them is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("boto3")


def run(code: str) -> str:
    """Return what a program prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_gdal_does_not_load_boto3() -> None:
    code = "import sys, geobatch.sources.gdal.environment; print('botocore' in sys.modules)"
    assert run(code) == "False\n"


@pytest.mark.parametrize(
    "code",
    [
        "import boto3; print(boto3.Session.__module__)",
        "from boto3 import Session; print(Session.__module__)",
        "import boto3.session; print(boto3.session.Session.__module__)",
        "import boto3, rasterio.session as r; print(r.boto3.Session.__module__)",
        "import boto3; print(boto3.client and boto3.Session.__module__)",
    ],
)
def test_who_uses_boto3_gets_all_of_it(code: str) -> None:
    assert run(f"import geobatch.sources; {code}") == "boto3.session\n"


def test_many_threads_may_be_the_first() -> None:
    code = """
import geobatch.sources, boto3
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
barrier = Barrier(16)
def use(_):
    barrier.wait()
    return boto3.Session.__module__
with ThreadPoolExecutor(16) as pool:
    print(*set(pool.map(use, range(16))))
"""
    assert run(code) == "boto3.session\n"


def test_a_name_that_is_missing_is_an_attribute_error() -> None:
    code = (
        "import geobatch.sources, boto3\ntry: boto3.nothing\nexcept AttributeError as e: print(e)"
    )
    assert run(code) == "module `boto3` has no attribute `nothing`\n"


def test_a_library_that_is_loaded_stays() -> None:
    code = "import boto3; one = boto3.Session; import geobatch.sources; print(one is boto3.Session)"
    assert run(code) == "True\n"
