"""The digest of each spec; comments, order of keys, spelling and position do not count."""

from __future__ import annotations

from geobatch.declare.spec_set import SpecSet
from geobatch.model.digest import Digest, digest_bytes


def spec_digests(specs: SpecSet) -> dict[str, tuple[str, Digest]]:
    """Return (spec file as the user named it, digest of the spec) by asset id.

    The digest is over the normalised spec, in which a glob stands as it is written. It serves to
    say which spec changed; equal ones are equal for one version of geobatch only.
    """
    return {
        spec.id: (spec.path, digest_bytes(repr(spec).encode(errors="surrogatepass")))
        for spec in specs.specs
    }
