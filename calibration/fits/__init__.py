"""A small FITS reader and writer that keeps header cards as they are.

Importing astropy.io.fits costs half a second of CPU, which every node of every dataset would pay;
these modules need numpy alone. The tests read and verify everything with astropy.
"""

from calibration.fits.files import Hdu, image_hdu, read, write
from calibration.fits.header import Header
from calibration.fits.tables import Column, read_table, table_hdu

__all__ = ["Column", "Hdu", "Header", "image_hdu", "read", "read_table", "table_hdu", "write"]
