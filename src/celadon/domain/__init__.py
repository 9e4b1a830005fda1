"""The words of celadon: frozen values that every room shares, with no behaviour beyond their own laws."""
