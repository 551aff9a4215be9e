"""What a person or a program may see and do at the hub, for every face alike: pages, API and command line.

Below the faces: knows no HTML, no HTTP and no terminal. It grows until each operation is defined here, once; what is still in
`hub.console` and is used by the API, too, is on its way here.
"""
