"""The operator's pages: what the documents say, as HTML, and buttons for what the commands do.

| module       | what it does                                                      |
| ------------ | ----------------------------------------------------------------- |
| `front.py`   | what every page needs: the desk, templates, errors as a sentence   |
| `looking.py` | pages, one GET each                                                |
| `acting.py`  | buttons, one POST each; asks first where much is changed           |
| `live.py`    | tells open pages that something changed                            |
| `words.py`   | numbers and states as people read them                             |
"""
