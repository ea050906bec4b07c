"""The fields of each kind of spec document, their types, and the JSON Schema of them."""
