"""Have people label, and judge, in their browser: one page, served by the machine that holds the run.

queue.py        who is shown which row next
desk.py         what a person may do: see, decide, undo, settle
progress.py     how far the batch and the run are
review.py       answers that are worth a second look
groups.py       images that look alike, to be decided together
agreement.py    how far people agree: Cohen's and Fleiss' kappa
images.py       images as a browser shows them
guard.py        who may speak with the server, and how much may be said
server.py       what serves a page: its files, JSON, images
labeling.py     what the labeling page asks for and tells
trials.py       real or generated? is it of its class? who is asked what
judging.py      what the judging page asks for and tells
page/           what the browser gets: plain HTML, CSS and JavaScript
"""
