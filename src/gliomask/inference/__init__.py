"""From an exported model and images to masks on the images' own grid. Knows neither PyTorch nor training."""
