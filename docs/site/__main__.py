"""Write the tree of pages that mkdocs makes the site of: ``python -m docs.site FOLDER``."""

import sys
from pathlib import Path

from docs.site.pages import write_site

write_site(Path(sys.argv[1]))
