"""Reports and declarations as signed XML, and as workbooks that are read back."""
