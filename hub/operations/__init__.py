"""What a person or a program may see and do at the hub, for every face alike: pages, API and command line.

Below the faces: knows no HTML and no terminal; a refusal has the number that HTTP gives it. It grows until each operation is defined here, once; what is still in
`hub.console` and is used by the API, too, is on its way here.
"""
