"Sphinx's settings, as far as they do not depend on the notebooks; build.py adds the rest"
language = 'en'
copybutton_selector = 'div.highlight pre:not(.cell_output pre)' # what is shown is not copied

extensions = ['myst_nb','sphinx_copybutton','sphinx.ext.linkcode']
source_suffix = {'.ipynb':'myst-nb', '.md':'myst-nb'}

nb_execution_mode = 'off'
nb_merge_streams = True
nb_render_markdown_format = 'myst'
myst_enable_extensions = ['attrs_block','colon_fence','dollarmath']
myst_heading_anchors = 3
add_module_names = False
toc_object_entries_show_parents = 'domain'

templates_path = ['templates']
html_theme = 'furo'
html_theme_options = dict(top_of_page_buttons=[])
html_css_files = ['site.css']
html_js_files = [('site.js', dict(defer='defer'))]
html_favicon = 'icon.svg'
html_copy_source = html_show_sourcelink = html_show_sphinx = False
pygments_style,pygments_dark_style = 'a11y-high-contrast-light','a11y-dark'

# only pages with formulas load it, and only the parts named here
mathjax_path = 'mathjax/startup.js'
mathjax3_config = dict(loader=dict(load=['core','input/tex','output/chtml','a11y/assistive-mml']))
