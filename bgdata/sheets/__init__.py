"""Picture sheets, which networks draw and the report shows: rows of photos with outlines, and heat maps over them."""
