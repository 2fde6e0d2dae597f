class Committee:
    pass
