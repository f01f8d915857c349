"""Which studies lie in what somebody named: slices, NIfTI and DICOM, as grey levels on axial slices. Knows no model."""
