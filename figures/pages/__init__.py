"""Pages to be read in a browser: one file each, with its style, its script and its numbers, and nothing from elsewhere.

frame.html, house.css, tables.js   what every page has, the report among them
page.html, page.css, *.js          a chart whose marks can be chosen, and a panel about the chosen one
page.py, chart.py, scene.py        what such a page holds, as data; landscape.py, traps.py, phases.py make it of results
"""
