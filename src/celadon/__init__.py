"""celadon releases AI models safely and keeps AI services alive."""
