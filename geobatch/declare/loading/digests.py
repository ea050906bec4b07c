"""The digest of each spec; comments, order of keys, spelling and position do not count."""

from __future__ import annotations

from geobatch.declare.specs import AssetSpec
from geobatch.model.digest import Digest, digest_bytes


def spec_digest(spec: AssetSpec) -> tuple[str, Digest]:
    """Return the spec file, as the user named it, and the digest of a spec.

    The digest is over the normalised spec, in which a glob stands as it is written. It serves to
    say which spec changed; equal ones are equal for one version of geobatch only.
    """
    return spec.path, digest_bytes(repr(spec).encode(errors="surrogatepass"))
