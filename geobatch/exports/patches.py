"""How a rectangle of pixels is cut into patches, with and without margins."""

from __future__ import annotations

from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.exports.options import TFRecordOptions
from geobatch.model.geobox import ceil_div


class PatchGrid(Struct, frozen=True, kw_only=True):
    """Patches over a rectangle of pixels, row by row from the upper left."""

    width: int
    """Columns of pixels."""
    height: int
    """Rows of pixels."""
    patch_width: int
    """Columns of a patch, without the margin."""
    patch_height: int
    """Rows of a patch, without the margin."""
    columns: int
    """Patches of a row."""
    rows: int
    """Rows of patches."""
    margin_left: int
    """Columns before a patch."""
    margin_top: int
    """Rows above a patch."""
    stored_width: int
    """Columns of a patch with its margins."""
    stored_height: int
    """Rows of a patch with its margins."""

    @property
    def count(self) -> int:
        """How many patches there are."""
        return self.columns * self.rows

    @property
    def dropped_pixels(self) -> int:
        """Pixels at the right and lower edges that no patch holds."""
        kept_width = min(self.width, self.columns * self.patch_width)
        kept_height = min(self.height, self.rows * self.patch_height)
        return self.width * self.height - kept_width * kept_height


def cut(width: int, height: int, options: TFRecordOptions) -> PatchGrid:
    """Return the patches of a rectangle.

    What is left at the right and lower edges is dropped, as Earth Engine does, unless the options
    say that it is padded. A kernel of k > 1 pixels adds k // 2 before a patch and the rest of k
    after it; a kernel of 1 or 0 adds nothing.

    Args:
        width: Columns of pixels.
        height: Rows of pixels.
        options: Patch and kernel sizes.

    Raises:
        ExportError: No patch fits.
    """
    patch_width, patch_height = options.patch_dimensions
    extra_width, extra_height = (0 if side <= 1 else side for side in options.kernel_size)
    columns, rows = (
        (ceil_div(width, patch_width), ceil_div(height, patch_height))
        if options.pad_border
        else (width // patch_width, height // patch_height)
    )
    if not columns or not rows:
        raise ExportError(
            f"no patch of {patch_width} x {patch_height} pixels fits into {width} x {height}",
            hint="`--pad-border` keeps patches that the image fills only partly; "
            "or make patches smaller",
        )
    return PatchGrid(
        width=width,
        height=height,
        patch_width=patch_width,
        patch_height=patch_height,
        columns=columns,
        rows=rows,
        margin_left=extra_width // 2,
        margin_top=extra_height // 2,
        stored_width=patch_width + extra_width,
        stored_height=patch_height + extra_height,
    )
