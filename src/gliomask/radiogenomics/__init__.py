"""From masks to the shape of a tumour, and from its shape to molecular subtypes. Knows no network and no picture."""
