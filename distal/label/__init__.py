"""Have people label, and judge, in their browser: one page, served by the machine that holds the run.

queue.py        who is shown which row next
desk.py         what a person may do: see, decide, undo, settle; and how far the batch and the run are
groups.py       images that look alike, to be decided together
agreement.py    how far people agree: Cohen's and Fleiss' kappa
images.py       images as a browser shows them
guard.py        who may speak with the server, and how much may be said
server.py       the HTTP interface, and the thread that serves it
trials.py, judging.py    real or generated? is it of its class?
page/           what the browser gets: plain HTML, CSS and JavaScript
"""
