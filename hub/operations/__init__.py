"""What a person or a program may see and do at the hub, for every face alike: pages, API and command line.

Below the faces: knows no HTML and no terminal. A refusal has the number that HTTP gives it.
"""
